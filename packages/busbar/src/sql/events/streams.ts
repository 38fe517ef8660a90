import { BrokerError } from '../../broker/index.ts'
import { ConcurrencyError, type Expected, meet, type StreamInfo } from '../../store/index.ts'
import type { Row, Statements } from '../executor.ts'
import type { EventsDialect, Rows } from './dialect.ts'
import { statementsOf } from './statements.ts'
import { countOn, subtract } from './tally.ts'

/** What is known of streams, by name; of one that never was, too. */
export async function infosOf(
  rows: Rows,
  dialect: EventsDialect,
  streams: readonly string[],
  isLocked: boolean,
): Promise<ReadonlyMap<string, LockedInfo>> {
  const infos = new Map<string, LockedInfo>()
  if (streams.length === 0) return infos
  for (const stream of streams) infos.set(stream, { stream, revision: -1, first: 0 })
  const found = await rows.all(statementsOf(dialect).streams(streams.length, isLocked), [listOf(streams)])
  for (const row of found) infos.set(row['stream'] as string, infoOf(row))
  return infos
}

/** One is given by itself, several as JSON. */
export function listOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] as string) : JSON.stringify(values)
}

/** Beside what readers are told: what its next event has to come after (`EventsDialect.last`). */
export interface LockedInfo extends StreamInfo {
  readonly last?: string
}

export function told({ last: _, ...info }: LockedInfo): StreamInfo {
  return info
}

export function infoOf(row: Row): LockedInfo {
  const info = { stream: row['stream'] as string, revision: Number(row['revision']), first: Number(row['first']) }
  const { deleted_at: deletedAt, deleted_by: deletedBy, last } = row
  if (deletedAt === null) return typeof last === 'string' ? { ...info, last } : info
  return { ...info, deletedAt: Number(deletedAt), ...(typeof deletedBy === 'string' ? { deletedBy } : {}) }
}

/** Who deletes and when; kept with the tombstone. */
export interface Deletion {
  readonly expected: Expected
  readonly by: string | undefined
  /** Unix milliseconds. */
  readonly at: number
}

/** Deletes a stream, in a transaction that writes. Its row stays as tombstone and as the record of the deletion. */
export async function deleteIn(
  sql: Statements,
  dialect: EventsDialect,
  stream: string,
  { expected, by, at }: Deletion,
): Promise<StreamInfo> {
  const info = await lockedInfo(sql, dialect, stream)
  if (info.deletedAt !== undefined) return told(info)
  meet(expected, info)
  if (info.revision === -1) throw new ConcurrencyError(stream, 'exists', -1)
  await forget(sql, dialect, stream, info.revision + 1)
  await sql.run(
    `UPDATE ${dialect.schema}busbar_streams SET deleted_at = ?, deleted_by = ?, first = revision + 1 WHERE stream = ?`,
    [at, by ?? null, stream],
  )
  const deleted = { stream, revision: info.revision, first: info.revision + 1, deletedAt: at }
  return by === undefined ? deleted : { ...deleted, deletedBy: by }
}

/** Forgets what is before a revision, in a transaction that writes; at most so many events. */
export async function truncateIn(
  sql: Statements,
  dialect: EventsDialect,
  stream: string,
  { before, atMost }: { readonly before: number; readonly atMost: number },
): Promise<number> {
  const info = await lockedInfo(sql, dialect, stream)
  const first = Math.min(before, info.revision + 1, info.first + atMost)
  if (!(first > info.first)) return 0
  const count = await forget(sql, dialect, stream, first)
  await sql.run(`UPDATE ${dialect.schema}busbar_streams SET first = ? WHERE stream = ?`, [first, stream])
  return count
}

async function lockedInfo(sql: Statements, dialect: EventsDialect, stream: string): Promise<StreamInfo> {
  const info = (await infosOf(sql, dialect, [stream], true)).get(stream)
  if (info === undefined) throw new BrokerError(`stream '${stream}' cannot be looked up`)
  return info
}

/**
 * The events leave the store and stay messages of the log, so that no group loses what it has not settled; retention
 * deletes them. A revision below 0 says so, and keeps their place: a repetition of their append is recognised meanwhile.
 */
async function forget(sql: Statements, dialect: EventsDialect, stream: string, before: number): Promise<number> {
  const which = 'stream = ? AND stream_revision >= 0 AND stream_revision < ?'
  const messages = `${dialect.schema}busbar_messages`
  const end = await countOn(sql, dialect)
  const [counted] = await sql.all(`SELECT COUNT(*) AS count FROM ${messages} WHERE ${which} AND position <= ?`, [
    stream,
    before,
    end,
  ])
  await subtract(sql, dialect, Number(counted?.['count'] ?? 0))
  return sql.run(`UPDATE ${messages} SET stream_revision = -1 - stream_revision WHERE ${which}`, [stream, before])
}
