import { setTimeout as sleep } from 'node:timers/promises'
import type { Found, LeaseName, Wanted } from '../sql/batched.ts'
import type { Dialect, Position } from '../sql/dialect.ts'
import type { Statements, Values } from '../sql/executor.ts'
import { store, storeAtOnce, STORE_CURSORS } from './cursors.ts'
import { LOCK_MIGRATIONS } from './executor.ts'
import { foreignOf } from './foreign.ts'
import { heldBack } from './held-back.ts'
import { migrationsOf } from './migrations.ts'
import { decodePositions, encodePositions } from './position.ts'
import { HORIZON, positionOf } from './horizon.ts'
import { fetch, fetchBehind, READ_AT, readNext } from './reading.ts'
import { numbers, texts } from './values.ts'

/** Milliseconds for which a new group waits for transactions that were open when it began. */
const HEAD_PATIENCE = 2_000

/** Not bounded by the horizon: what is held back has come, too. */
const LOOK = `
  SELECT w.place,
    EXISTS (SELECT FROM busbar_messages b
      WHERE b.topic = w.topic AND b.partition = w.partition AND b.position > w.position)::int4,
    (SELECT MIN(s.due_at) FROM busbar_set_aside s WHERE s.grp = w.grp AND s.topic = w.topic
      AND s.partition = w.partition AND s.state = 'due' AND s.handed = 0),
    (SELECT MIN(s.due_at) FROM busbar_set_aside s WHERE s.grp = w.grp AND s.topic = w.topic
      AND s.partition = w.partition AND s.state = 'suspect' AND s.handed = 0)
  FROM unnest(?::text[], ?::int4[], ?::int4[], ?::text[]) WITH ORDINALITY AS w (grp, topic, partition, position, place)`

/**
 * Postgres has many writers, so rows become visible in another order than their numbers were drawn in. Positions are in the
 * order of transaction ids, and nothing is read but what is before every transaction that is still open (`HORIZON`): so
 * nothing can come later that belongs before it.
 */
export function postgresDialect(schema: string): Dialect {
  return {
    name: 'postgres',
    migrations: migrationsOf(schema),
    lockMigrations: LOCK_MIGRATIONS,
    relations: `SELECT relname::text AS name FROM pg_class
      WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '${schema}') AND starts_with(relname, 'busbar_')`,
    forUpdate: ' FOR UPDATE',
    relax: 'SET LOCAL synchronous_commit TO off',
    start: '',
    end: `SELECT ${HORIZON} AS position`,
    head,
    readNext,
    fetch,
    fetchBehind,
    worthAFetch: 50,
    storeCursors: (sql, cursors) => store(STORE_CURSORS, sql, cursors),
    storeAtOnce,
    readAhead: 200,
    look,
    readAt: READ_AT,
    listOf: (positions) => `{${positions.join(',')}}`,
    isBefore: (a, b) => (a as string) < (b as string),
    encodePositions,
    decodePositions,
    heldBack,
    foreign: foreignOf(schema),
  }
}

/**
 * Whatever was committed before this is before the next transaction id. What is still open then may commit later and
 * belong before it, so these are waited for; if one takes too long, the group begins before it, and sees again what was
 * committed since that one began.
 */
async function head(sql: Statements): Promise<Position> {
  const [row] = await sql.all(`SELECT ${positionOf('pg_snapshot_xmax')} AS position,
    pg_snapshot_xmax(pg_current_snapshot())::text AS xmax`)
  const deadline = performance.now() + HEAD_PATIENCE
  for (let pause = 1; ; pause = Math.min(50, pause * 2)) {
    const open = await sql.all(
      'SELECT 1 AS open FROM pg_snapshot_xip(pg_current_snapshot()) AS x (id) WHERE x.id < ?::xid8 LIMIT 1',
      [row?.['xmax'] ?? null],
    )
    if (open.length === 0) return row?.['position'] ?? ''
    if (performance.now() > deadline) break
    await sleep(pause)
  }
  return (await sql.all(`SELECT ${HORIZON} AS position`))[0]?.['position'] ?? ''
}

async function look(
  sql: Statements,
  partitions: readonly Wanted[],
  leases: readonly LeaseName[],
): Promise<readonly Found[]> {
  const rows = await sql.values(LOOK, [
    texts(leases.map(({ group }) => group)),
    numbers(partitions.map(({ topic }) => topic)),
    numbers(partitions.map(({ partition }) => partition)),
    texts(partitions.map(({ position }) => position)),
  ])
  const found: Found[] = leases.map(() => ({ more: false, nextDue: Infinity, nextSuspect: Infinity }))
  for (const [place, more, nextDue, nextSuspect] of rows) {
    found[Number(place) - 1] = { more: more === 1, nextDue: timeOf(nextDue), nextSuspect: timeOf(nextSuspect) }
  }
  return found
}

function timeOf(value: Values[number] | undefined): number {
  return value === null || value === undefined ? Infinity : Number(value)
}
