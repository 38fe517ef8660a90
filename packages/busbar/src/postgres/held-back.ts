import type { HeldBack } from '../broker/index.ts'
import type { Row, Statements } from '../sql/executor.ts'
import { HORIZON } from './horizon.ts'

const COUNT = `
  SELECT COUNT(*) AS messages FROM busbar_topics t, generate_series(0, t.partitions - 1) AS p (n),
    LATERAL (SELECT FROM busbar_messages m
      WHERE m.topic = t.id AND m.partition = p.n AND m.position >= ${HORIZON}) AS held`

/** The oldest open transaction, in any database of the server, by the 32 bits of its id that these views know. */
const OLDEST = `(pg_snapshot_xmin(pg_current_snapshot())::text::int8 % 4294967296)::text::xid`

const BACKEND = `
  SELECT pid, usename AS role, datname AS database, application_name AS application, state,
    extract(epoch FROM xact_start) * 1000 AS since
  FROM pg_stat_activity WHERE backend_xid = ${OLDEST}`

const PREPARED = `
  SELECT gid, owner AS role, database, extract(epoch FROM prepared) * 1000 AS since
  FROM pg_prepared_xacts WHERE transaction = ${OLDEST}`

/** Who keeps committed messages from being read. Undefined: nothing waits. Statements of others are not told, they hold data. */
export async function heldBack(sql: Statements): Promise<HeldBack | undefined> {
  const [count] = await sql.all(COUNT)
  const messages = Number(count?.['messages'] ?? 0)
  if (messages === 0) return undefined
  const [backend] = await sql.all(BACKEND)
  if (backend !== undefined) return told(messages, `process ${text(backend['pid'])}${details(backend)}`, backend)
  const [prepared] = await sql.all(PREPARED)
  if (prepared === undefined) {
    return { messages, by: 'a transaction that this role may not see: GRANT pg_read_all_stats would show it' }
  }
  return told(messages, `prepared transaction '${text(prepared['gid'])}'${details(prepared)}`, prepared)
}

function details(row: Row): string {
  const named = ['role', 'database', 'application', 'state'].filter((name) => text(row[name]) !== '')
  return named.length === 0 ? '' : ` (${named.map((name) => `${name} ${text(row[name])}`).join(', ')})`
}

function told(messages: number, by: string, { since }: Row): HeldBack {
  return { messages, by, ...(typeof since === 'number' ? { since: Math.round(since) } : {}) }
}

function text(value: Row[string] | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
