import type { Cursor } from '../sql/batched.ts'
import type { SqlValue, Statements } from '../sql/executor.ts'
import { numbers, texts } from './values.ts'

export const STORE_CURSORS = `
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

/** The same of one cursor. */
const STORE_ONE_AT_ONCE = `
  WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS setting)
  UPDATE busbar_cursors c SET position = ?::text, open = ?::text, expires = ?::float8 FROM relaxed
  WHERE c.grp = ?::text AND c.topic = ?::int4 AND c.partition = ?::int4 AND c.token = ?::int8
  RETURNING 1`

export async function storeAtOnce(sql: Statements, cursors: readonly Cursor[]): Promise<readonly boolean[]> {
  const [only] = cursors
  if (cursors.length !== 1 || only === undefined) return store(STORE_AT_ONCE, sql, cursors)
  const [grp, topic, partition, token, position, open, expires] = cursorValues(only)
  const params = [position, open, expires, grp, topic, partition, token] as SqlValue[]
  return [(await sql.values(STORE_ONE_AT_ONCE, params)).length === 1]
}

export async function store(
  statement: string,
  sql: Statements,
  cursors: readonly Cursor[],
): Promise<readonly boolean[]> {
  if (cursors.length === 0) return []
  const rows = await sql.values(statement, cursorArrays(cursors))
  const stored = new Set(rows.map(([place]) => Number(place) - 1))
  return cursors.map((_, index) => stored.has(index))
}

/** One array for each column. */
export function cursorArrays(cursors: readonly Cursor[]): SqlValue[] {
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

/** The same of one cursor, as plain values. */
export function cursorValues({ lease, position, open, expires }: Cursor): SqlValue[] {
  return [lease.group, lease.topic.id, lease.partition, lease.token, position, open, expires]
}
