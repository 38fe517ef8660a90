import { setTimeout as sleep } from 'node:timers/promises'
import type { Cursor, Fetch, Fetched, Found, LeaseName, Next, Wanted } from '../sql/batched.ts'
import type { Dialect, Position } from '../sql/dialect.ts'
import type { SqlValue, Statements, Values } from '../sql/executor.ts'
import { bodySize, messageColumns } from '../sql/rows.ts'
import { LOCK_MIGRATIONS } from './executor.ts'
import { foreignOf } from './foreign.ts'
import { heldBack } from './held-back.ts'
import { migrationsOf } from './migrations.ts'
import { decodePositions, encodePositions } from './position.ts'
import { HORIZON, positionOf } from './horizon.ts'
import { numbers, texts } from './values.ts'

/** Milliseconds for which a new group waits for transactions that were open when it began. */
const HEAD_PATIENCE = 2_000

const MESSAGE = messageColumns
  .split(', ')
  .map((column) => `m.${column}`)
  .join(', ')

/** The next rows of the place `w`, with the bytes of the bodies before each. */
const NEXT_ROWS = `
  SELECT position, ${messageColumns},
    sum(octet_length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
  FROM busbar_messages b
  WHERE b.topic = w.topic AND b.partition = w.partition AND b.position > w.position AND b.position < ${HORIZON}
  ORDER BY b.position LIMIT w.wanted`

/** Whether there is something that cannot be read yet. */
const IS_HELD = `EXISTS (SELECT FROM busbar_messages b
  WHERE b.topic = w.topic AND b.partition = w.partition AND b.position >= ${HORIZON})::int4`

const READ_NEXT = `
  SELECT w.place, ${IS_HELD}, m.position, ${MESSAGE}
  FROM unnest(?::int4[], ?::int4[], ?::text[], ?::int4[]) WITH ORDINALITY AS w (topic, partition, position, wanted, place)
  LEFT JOIN LATERAL (${NEXT_ROWS}) AS m ON m.before < ?`

/**
 * Reads and stores at once: the rows that are read are added to the open list as they are. Its commit does not wait for the
 * disk: if a crash of the server takes it back, the same is handed out once more.
 */
const FETCH = `
  WITH w AS MATERIALIZED (
    SELECT w.*
    FROM unnest(?::text[], ?::int4[], ?::int4[], ?::int8[], ?::text[], ?::text[], ?::float8[], ?::int4[], ?::int4[])
      WITH ORDINALITY AS w (grp, topic, partition, token, position, open, expires, wanted, dirty, place)
  ), m AS MATERIALIZED (
    SELECT w.place, m.* FROM w CROSS JOIN LATERAL (${NEXT_ROWS}) AS m WHERE m.before < ?
  ), relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
  ), fresh AS MATERIALIZED (
    SELECT place, MAX(position) AS last, string_agg(position, ' ' ORDER BY position) AS list, COUNT(*) AS found
    FROM m GROUP BY place
  ), stored AS (
    UPDATE busbar_cursors c
    SET position = COALESCE(fresh.last, w.position), open = concat_ws(' ', NULLIF(w.open, ''), fresh.list), expires = w.expires
    FROM relaxed CROSS JOIN w LEFT JOIN fresh ON fresh.place = w.place
    WHERE c.grp = w.grp AND c.topic = w.topic AND c.partition = w.partition AND c.token = w.token
      AND (w.dirty = 1 OR fresh.list IS NOT NULL)
    RETURNING w.place
  ), told AS MATERIALIZED (
    SELECT w.place, CASE WHEN w.wanted = 0 OR fresh.found >= w.wanted THEN 0 ELSE ${IS_HELD} END AS held,
      (stored.place IS NOT NULL)::int4 AS stored
    FROM w LEFT JOIN fresh ON fresh.place = w.place LEFT JOIN stored ON stored.place = w.place
  )
  SELECT told.place, told.held, told.stored, m.position, ${MESSAGE} FROM told LEFT JOIN m ON m.place = told.place`

const STORE_CURSORS = `
  UPDATE busbar_cursors c SET position = u.position, open = u.open, expires = u.expires
  FROM unnest(?::text[], ?::int4[], ?::int4[], ?::int8[], ?::text[], ?::text[], ?::float8[]) WITH ORDINALITY
    AS u (grp, topic, partition, token, position, open, expires, place)
  WHERE c.grp = u.grp AND c.topic = u.topic AND c.partition = u.partition AND c.token = u.token
  RETURNING u.place`

const STORE_AT_ONCE = `
  WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS setting)
  UPDATE busbar_cursors c SET position = u.position, open = u.open, expires = u.expires
  FROM relaxed CROSS JOIN unnest(?::text[], ?::int4[], ?::int4[], ?::int8[], ?::text[], ?::text[], ?::float8[])
    WITH ORDINALITY AS u (grp, topic, partition, token, position, open, expires, place)
  WHERE c.grp = u.grp AND c.topic = u.topic AND c.partition = u.partition AND c.token = u.token
  RETURNING u.place`

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
    worthAFetch: 50,
    storeCursors: (sql, cursors) => store(STORE_CURSORS, sql, cursors),
    storeAtOnce: (sql, cursors) => store(STORE_AT_ONCE, sql, cursors),
    readAhead: 512,
    look,
    readAt: `SELECT position, ${messageColumns} FROM busbar_messages
      WHERE topic = ? AND partition = ? AND position = ANY (?::text[]) ORDER BY position`,
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

async function readNext(
  sql: Statements,
  wanted: readonly Wanted[],
  enough: (row: Values) => boolean,
  bytes: number,
): Promise<readonly Next[]> {
  const topics = numbers(wanted.map(({ topic }) => topic))
  const partitions = numbers(wanted.map(({ partition }) => partition))
  const rows = await sql.values(READ_NEXT, [
    topics,
    partitions,
    texts(wanted.map(({ position }) => position)),
    numbers(wanted.map(({ limit }) => limit)),
    share(bytes, wanted),
  ])
  const found = wanted.map((): Values[] => [])
  const held = new Set<number>()
  for (const [place, isHeld, ...row] of rows) {
    const index = Number(place) - 1
    if (isHeld === 1) held.add(index)
    if (row[0] !== null) found[index]?.push(row)
  }
  let ended = false
  return found.map((all, index) => {
    const read = nextOf(all, wanted[index]?.limit ?? 0, share(bytes, wanted), held.has(index))
    if (ended) return { rows: [], more: true, held: false }
    const last = read.rows.findIndex(enough)
    if (last < 0) return read
    ended = true
    return { rows: read.rows.slice(0, last + 1), more: true, held: false }
  })
}

async function fetch(sql: Statements, wanted: readonly Fetch[], bytes: number): Promise<readonly Fetched[]> {
  const reading = wanted.filter(({ limit }) => limit > 0)
  const rows = await sql.values(FETCH, [
    ...cursorArrays(wanted),
    numbers(wanted.map(({ limit }) => limit)),
    numbers(wanted.map(({ dirty }) => (dirty ? 1 : 0))),
    share(bytes, reading),
  ])
  const found = wanted.map((): { rows: Values[]; held: boolean; stored: boolean } => ({
    rows: [],
    held: false,
    stored: false,
  }))
  for (const [place, held, stored, ...row] of rows) {
    const one = found[Number(place) - 1]
    if (one === undefined) continue
    one.held = held === 1
    one.stored = stored === 1
    if (row[0] !== null) one.rows.push(row)
  }
  return found.map(({ rows: all, held, stored }, index) => {
    const { limit } = wanted[index] as Fetch
    return { ...nextOf(all, limit, share(bytes, reading), held && limit > 0), stored }
  })
}

/** Bytes for each of the partitions of a fetch. */
function share(bytes: number, wanted: readonly unknown[]): number {
  return Math.max(1, Math.ceil(bytes / Math.max(1, wanted.length)))
}

/** They come in the order of the index; but nothing in SQL promises it. */
function nextOf(rows: Values[], limit: number, bytes: number, held: boolean): Next {
  rows.sort(byPosition)
  let size = 0
  for (const row of rows) size += bodySize(row, 1)
  const more = rows.length >= limit || size >= bytes
  return { rows, more, held: held && !more }
}

function byPosition([a]: Values, [b]: Values): number {
  return (a as string) < (b as string) ? -1 : 1
}

async function store(statement: string, sql: Statements, cursors: readonly Cursor[]): Promise<readonly boolean[]> {
  if (cursors.length === 0) return []
  const rows = await sql.values(statement, cursorArrays(cursors))
  const stored = new Set(rows.map(([place]) => Number(place) - 1))
  return cursors.map((_, index) => stored.has(index))
}

function cursorArrays(cursors: readonly Cursor[]): SqlValue[] {
  return [
    texts(cursors.map(({ lease }) => lease.group)),
    numbers(cursors.map(({ lease }) => lease.topic.id)),
    numbers(cursors.map(({ lease }) => lease.partition)),
    numbers(cursors.map(({ lease }) => lease.token)),
    texts(cursors.map(({ position }) => position)),
    texts(cursors.map(({ open }) => open)),
    numbers(cursors.map(({ expires }) => expires)),
  ]
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
