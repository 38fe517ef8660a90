import type { Fetch, Fetched, Next, Wanted } from '../sql/batched.ts'
import type { Statements, Values } from '../sql/executor.ts'
import { bodySize, messageColumns } from '../sql/rows.ts'
import { cursorArrays, cursorValues } from './cursors.ts'
import { HORIZON } from './horizon.ts'
import { PACKED_COLUMNS, packedColumns, unpacked } from './packed.ts'
import { numbers, texts } from './values.ts'

/** Where in a row the number of its partition is: behind the message. */
const PLACE = PACKED_COLUMNS.length

const MESSAGE = PACKED_COLUMNS.map((column) => `m.${column}`).join(', ')

/** In the place of a message, in rows that only say something of their partition. */
const NO_MESSAGE = PACKED_COLUMNS.map(() => 'NULL').join(', ')

/** What a statement is told of a partition: columns of `w` where there may be several, parameters where there is one. */
type Told = Readonly<Record<'topic' | 'partition' | 'position' | 'horizon' | 'wanted' | 'bytes', string>>

/** Messages after a place that can be read: they are before every transaction that is still open. */
const readable = ({ topic, partition, position, horizon }: Told): string => `busbar_messages b
  WHERE b.topic = ${topic} AND b.partition = ${partition} AND b.position > ${position} AND b.position < ${horizon}
  ORDER BY b.position LIMIT`

/** As many as fill the bytes. Row by row they are counted only where all of them are too much, since that costs more than reading. */
const filling = (told: Told): string => `
  CASE WHEN (SELECT SUM(octet_length(body)) FROM (SELECT b.body FROM ${readable(told)} ${told.wanted}) AS sized) <= ${told.bytes}
  THEN ${told.wanted} ELSE (
    SELECT COUNT(*) FROM (
      SELECT SUM(octet_length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
      FROM (SELECT b.position, b.body FROM ${readable(told)} ${told.wanted}) AS sized
    ) AS counted WHERE before < ${told.bytes}
  ) END`

const nextRows = (told: Told): string => `SELECT ${packedColumns('b')} FROM ${readable(told)} ${filling(told)}`

/** Whether there is something that cannot be read yet. */
const isHeld = ({ topic, partition, horizon }: Told): string => `EXISTS (SELECT FROM busbar_messages b
  WHERE b.topic = ${topic} AND b.partition = ${partition} AND b.position >= ${horizon})`

const OF_W: Told = {
  topic: 'w.topic',
  partition: 'w.partition',
  position: 'w.position',
  horizon: 'w.horizon',
  wanted: 'w.wanted',
  bytes: 'w.bytes',
}

/** The horizon is computed once: cold, that takes as long as reading a message. */
const READ_NEXT = `
  WITH w AS MATERIALIZED (
    SELECT w.*, ${HORIZON} AS horizon FROM unnest(?::int4[], ?::int4[], ?::text[], ?::int4[], ?::int8[])
      WITH ORDINALITY AS w (topic, partition, position, wanted, bytes, place)
  )
  SELECT ${MESSAGE}, w.place FROM w CROSS JOIN LATERAL (${nextRows(OF_W)}) AS m
  UNION ALL SELECT ${NO_MESSAGE}, w.place FROM w WHERE ${isHeld(OF_W)}`

/**
 * Reads and stores at once: the rows that are read are added to the open list as they are. Its commit does not wait for the
 * disk: if a crash of the server takes it back, the same is handed out once more.
 */
const FETCH = `
  WITH w AS MATERIALIZED (
    SELECT w.*, ${HORIZON} AS horizon
    FROM unnest(?::text[], ?::int4[], ?::int4[], ?::int8[], ?::text[], ?::text[], ?::float8[], ?::int4[], ?::int4[], ?::int8[])
      WITH ORDINALITY AS w (grp, topic, partition, token, position, open, expires, wanted, dirty, bytes, place)
  ), m AS MATERIALIZED (
    SELECT w.place, m.* FROM w CROSS JOIN LATERAL (${nextRows(OF_W)}) AS m
  ), relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
  ), stored AS (
    UPDATE busbar_cursors c
    SET position = COALESCE(fresh.last, w.position), open = concat_ws(' ', NULLIF(w.open, ''), fresh.list), expires = w.expires
    FROM relaxed CROSS JOIN w LEFT JOIN (
      SELECT place, MAX(position) AS last, string_agg(position, ' ' ORDER BY position) AS list FROM m GROUP BY place
    ) AS fresh ON fresh.place = w.place
    WHERE c.grp = w.grp AND c.topic = w.topic AND c.partition = w.partition AND c.token = w.token
      AND (w.dirty = 1 OR fresh.list IS NOT NULL)
    RETURNING w.place
  )
  SELECT ${MESSAGE}, m.place, 0 AS held FROM m
  UNION ALL SELECT ${NO_MESSAGE}, stored.place, 0 FROM stored
  UNION ALL SELECT ${NO_MESSAGE}, w.place, 1 FROM w WHERE w.wanted > 0 AND ${isHeld(OF_W)}`

const ALONE: Told = {
  topic: '$2::int4',
  partition: '$3::int4',
  position: '$5::text',
  horizon: '(SELECT horizon FROM h)',
  wanted: '$8::int4',
  bytes: '$10::int8',
}

const CURSOR = 'c.grp = $1::text AND c.topic = $2::int4 AND c.partition = $3::int4'

/**
 * The same of one partition, as it is mostly where messages come one by one: there what the joins cost is most of the time.
 * Its parameters are `cursorValues`, then what is wanted, whether the cursor is dirty, and the bytes.
 *
 * @param mine A condition for the cursor to be stored.
 */
const fetchOne = (mine: string): string => `
  WITH h AS MATERIALIZED (
    SELECT ${HORIZON} AS horizon
  ), m AS MATERIALIZED (
    ${nextRows(ALONE)}
  ), relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
  ), stored AS (
    UPDATE busbar_cursors c
    SET position = COALESCE(fresh.last, $5::text), open = concat_ws(' ', NULLIF($6::text, ''), fresh.list), expires = $7::float8
    FROM relaxed CROSS JOIN (
      SELECT MAX(position) AS last, string_agg(position, ' ' ORDER BY position) AS list FROM m
    ) AS fresh
    WHERE ${CURSOR} AND c.token = $4::int8 AND ${mine} AND ($9::int4 = 1 OR fresh.list IS NOT NULL)
    RETURNING 1
  )
  SELECT ${MESSAGE}, 1 AS place, 0 AS held FROM m
  UNION ALL SELECT ${NO_MESSAGE}, 1, 0 FROM stored
  UNION ALL SELECT ${NO_MESSAGE}, 1, 1 WHERE $8::int4 > 0 AND ${isHeld(ALONE)}`

const FETCH_ONE = fetchOne('true')

/** Where somebody else has locked the cursor nothing is stored: what is behind it on the connection must not wait. */
const FETCH_BEHIND = fetchOne(`EXISTS (SELECT FROM busbar_cursors c WHERE ${CURSOR} FOR UPDATE SKIP LOCKED)`)

/** Column by column. */
export const READ_AT = `SELECT position, ${messageColumns} FROM busbar_messages
  WHERE topic = ? AND partition = ? AND position = ANY (?::text[]) ORDER BY position`

export async function readNext(
  sql: Statements,
  wanted: readonly Wanted[],
  enough: (row: Values) => boolean,
  bytes: number,
): Promise<readonly Next[]> {
  const each = share(bytes, wanted)
  const rows = await sql.values(READ_NEXT, [
    numbers(wanted.map(({ topic }) => topic)),
    numbers(wanted.map(({ partition }) => partition)),
    texts(wanted.map(({ position }) => position)),
    numbers(wanted.map(({ limit }) => limit)),
    numbers(wanted.map(() => each)),
  ])
  const found = wanted.map((): Values[] => [])
  const held = new Set<number>()
  for (const row of rows) {
    const index = indexOf(row)
    if (row[0] === null) held.add(index)
    else found[index]?.push(row)
  }
  await unpackAll(sql, wanted, found)
  let ended = false
  return found.map((all, index) => {
    const read = nextOf(all, wanted[index]?.limit ?? 0, each, held.has(index))
    if (ended) return { rows: [], more: true, held: false }
    const last = read.rows.findIndex(enough)
    if (last < 0) return read
    ended = true
    return { rows: read.rows.slice(0, last + 1), more: true, held: false }
  })
}

export async function fetch(sql: Statements, wanted: readonly Fetch[], bytes: number): Promise<readonly Fetched[]> {
  const [only] = wanted
  if (wanted.length === 1 && only !== undefined) return [await one(FETCH_ONE, sql, only, bytes)]
  const each = share(
    bytes,
    wanted.filter(({ limit }) => limit > 0),
  )
  const rows = await sql.values(FETCH, [
    ...cursorArrays(wanted),
    numbers(wanted.map(({ limit }) => limit)),
    numbers(wanted.map(({ dirty }) => (dirty ? 1 : 0))),
    numbers(wanted.map(() => each)),
  ])
  return fetched(sql, wanted, rows, each)
}

/** Undefined: nothing was stored, and so nothing is handed out. */
export async function fetchBehind(sql: Statements, wanted: Fetch, bytes: number): Promise<Fetched | undefined> {
  const found = await one(FETCH_BEHIND, sql, wanted, bytes)
  return found.stored ? found : undefined
}

async function one(statement: string, sql: Statements, wanted: Fetch, bytes: number): Promise<Fetched> {
  const rows = await sql.values(statement, [...cursorValues(wanted), wanted.limit, wanted.dirty ? 1 : 0, bytes])
  const [found] = await fetched(sql, [wanted], rows, bytes)
  return found as Fetched
}

async function fetched(
  sql: Statements,
  wanted: readonly Fetch[],
  rows: readonly Values[],
  bytes: number,
): Promise<readonly Fetched[]> {
  const found = wanted.map(() => ({ rows: [] as Values[], held: false, stored: false }))
  for (const row of rows) {
    const partition = found[indexOf(row)]
    if (partition === undefined) continue
    if (row[0] !== null) partition.rows.push(row)
    else if (row[PLACE + 1] === 1) partition.held = true
    else partition.stored = true
  }
  await unpackAll(
    sql,
    wanted.map(({ lease: { topic, partition } }) => ({ topic: topic.id, partition })),
    found.map((partition) => partition.rows),
  )
  return found.map(({ rows: all, held, stored }, index) => {
    return { ...nextOf(all, wanted[index]?.limit ?? 0, bytes, held), stored }
  })
}

/**
 * Makes of rows as they came what `Next` holds. Where one cannot be unpacked, those of its partition are read again, column by column;
 * what is gone by then is left out.
 */
async function unpackAll(
  sql: Statements,
  places: readonly Pick<Wanted, 'topic' | 'partition'>[],
  found: readonly Values[][],
): Promise<void> {
  for (const [index, rows] of found.entries()) {
    let isWhole = true
    for (const [n, row] of rows.entries()) {
      const whole = unpacked(row)
      if (whole === undefined) isWhole = false
      else rows[n] = whole
    }
    const place = places[index]
    if (isWhole || place === undefined) continue
    const positions = rows.map(([position = null]) => position)
    const again = await sql.values(READ_AT, [place.topic, place.partition, texts(positions)])
    rows.splice(0, rows.length, ...again)
  }
}

function indexOf(row: Values): number {
  return (row[PLACE] as number) - 1
}

/** Bytes for each of the partitions of a fetch. */
function share(bytes: number, wanted: readonly unknown[]): number {
  return Math.max(1, Math.ceil(bytes / Math.max(1, wanted.length)))
}

/** They come in the order of the index; but nothing in SQL promises it. */
function nextOf(rows: Values[], limit: number, bytes: number, held: boolean): Next {
  let size = 0
  let isSorted = true
  let before = ''
  for (const row of rows) {
    const position = row[0] as string
    isSorted &&= before < position
    before = position
    size += bodySize(row, 1)
  }
  if (!isSorted) rows.sort(byPosition)
  const more = rows.length >= limit || size >= bytes
  return { rows, more, held: held && !more }
}

function byPosition([a]: Values, [b]: Values): number {
  return (a as string) < (b as string) ? -1 : 1
}
