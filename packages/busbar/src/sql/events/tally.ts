import { BEGINNING, type StoreHead } from '../../store/index.ts'
import type { SqlValue, Statements } from '../executor.ts'
import type { EventsDialect } from './dialect.ts'

/**
 * How many events the store keeps, counted once up to a place and kept, so that nobody counts millions every time: what came
 * after that place is counted, what was forgotten is subtracted. No topic has this number.
 */
const HERE = 'topic = 0 AND partition = 0'

/** Events after which a count is worth keeping. */
const WORTH_KEEPING = 1_000

interface Tally {
  readonly position: SqlValue
  readonly count: number
}

export interface Head extends StoreHead {
  readonly worthKeeping: boolean
}

/** Where readers of the whole store come to, and how many events there are. */
export async function headOf(sql: Statements, dialect: EventsDialect): Promise<Head> {
  const tally = await read(sql, dialect, '')
  const fresh = await countAfter(sql, dialect, tally?.position)
  const [last] = await sql.all(
    `SELECT position FROM ${events(dialect)}${dialect.settled} ORDER BY position DESC LIMIT 1`,
  )
  return {
    position: last === undefined ? BEGINNING : dialect.positionOf(last['position']),
    count: (tally?.count ?? 0) + fresh,
    worthKeeping: fresh >= WORTH_KEEPING,
  }
}

/** Counts what has come since, in a transaction that writes; resolves to up to where it is counted, and whether it is. */
export async function countOn(sql: Statements, dialect: EventsDialect): Promise<SqlValue> {
  const tally = await read(sql, dialect, dialect.forUpdate)
  const [end] = await sql.all(dialect.end)
  const position = end?.['position'] ?? dialect.valueOf(BEGINNING)
  const [since] = await sql.all(
    `SELECT COUNT(*) AS count FROM ${events(dialect)}${tally === undefined ? '' : ' AND position > ?'} AND position <= ?`,
    tally === undefined ? [position] : [tally.position, position],
  )
  await sql.run(
    `INSERT INTO ${dialect.schema}busbar_tallies (topic, partition, position, total, removed) VALUES (0, 0, ?, ?, 0)
     ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position, total = excluded.total, removed = 0`,
    [position, (tally?.count ?? 0) + Number(since?.['count'] ?? 0)],
  )
  return position
}

/** Events were forgotten that had been counted. */
export async function subtract(sql: Statements, dialect: EventsDialect, count: number): Promise<void> {
  await sql.run(`UPDATE ${dialect.schema}busbar_tallies SET removed = removed + ? WHERE ${HERE}`, [count])
}

async function read(sql: Statements, { schema }: EventsDialect, lock: string): Promise<Tally | undefined> {
  const [row] = await sql.all(`SELECT position, total, removed FROM ${schema}busbar_tallies WHERE ${HERE}${lock}`)
  if (row === undefined) return undefined
  return { position: row['position'] as SqlValue, count: Number(row['total']) - Number(row['removed']) }
}

async function countAfter(sql: Statements, dialect: EventsDialect, position: SqlValue | undefined): Promise<number> {
  const after = position === undefined ? '' : ' AND position > ?'
  const [row] = await sql.all(
    `SELECT COUNT(*) AS count FROM ${events(dialect)}${after}`,
    position === undefined ? [] : [position],
  )
  return Number(row?.['count'] ?? 0)
}

function events({ schema }: EventsDialect): string {
  return `${schema}busbar_messages WHERE stream_revision >= 0`
}
