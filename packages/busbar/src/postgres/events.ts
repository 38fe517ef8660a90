import { BrokerError } from '../broker/index.ts'
import type { EventsDialect } from '../sql/events/dialect.ts'
import type { SqlValue } from '../sql/executor.ts'
import { saidBy } from '../transaction/errors.ts'
import { PostgresError } from './errors.ts'
import { groupStatement } from './group-commit.ts'
import { HORIZON } from './horizon.ts'
import { parameter } from './values.ts'

/** `epoch.xid.number`, see `position.ts`. */
const POSITION = /^[0-9a-f]{4}\.[0-9a-f]{14}\.[0-9a-f]{14,}$/

/** Settings of our connections (`connection.ts`) that statements of the user's are not to be run by. */
const AS_USUAL = `SELECT set_config(name, reset_val, true) FROM pg_settings
  WHERE name IN ('search_path', 'enable_seqscan', 'enable_bitmapscan', 'jit', 'plan_cache_mode')`

/** Two appends that begin a stream, or write an event, at the same time. */
const TAKEN = /"busbar_(events_\w+|streams_pkey)"/
/** Deadlock, serialization failure. */
const RETRIED = new Set(['40P01', '40001'])

/**
 * Many writers: an event's position is that of its transaction, so the whole store is in an order in which nothing comes
 * later that belongs before what was read (`dialect.ts`). A stream carries on the transaction of its last event, because one
 * that began earlier may append to it later: its event comes right behind then, and no reader can have passed that place,
 * because nobody reads beyond the oldest transaction that is open.
 */
export function postgresEvents(name: string): EventsDialect {
  const schema = `"${name}".`
  const next = `(COALESCE(NULLIF(current_setting('busbar.epoch', true), ''), ${schema}busbar_epoch()) || '.' ||
    lpad(to_hex(pg_current_xact_id()::text::bigint), 14, '0')) COLLATE "C"`
  const number = `lpad(to_hex(nextval('${schema}busbar_numbers')), 14, '0')`
  const settled = `position < ${HORIZON}`
  const groups = groupStatement({ schema, next, number })
  return {
    database: 'postgres',
    schema,
    forUpdate: ' FOR UPDATE',
    // As text, because clients disagree about how lists and JSON are given.
    isListed: (column) => `${column} = ANY (ARRAY(SELECT json_array_elements_text((?::text)::json)))`,
    settled: ` AND ${settled}`,
    end: `SELECT ${HORIZON} AS position`,
    held: `SELECT position FROM ${schema}busbar_messages WHERE stream_revision >= 0 AND position >= ${HORIZON}
      ORDER BY position DESC LIMIT 1`,
    last: { column: 'last', next, position: `?::text || '.' || ${number}` },
    endsByBytes: true,
    asUsual: AS_USUAL,
    makesTopicsApart: true,
    rowsAtOnce: 20,
    groupsStreams: false,
    groupsAtOnce: 2,
    group: (context, appends) => groups(context.executor, appends),
    positionOf: String,
    valueOf: (position) => {
      if (position === '' || POSITION.test(position)) return position
      throw new BrokerError(`'${position}' is no position of events in Postgres: give one that this store has told`)
    },
    given: (value: SqlValue) => {
      return typeof value === 'string' || value instanceof Uint8Array ? parameter(value) : value
    },
    isEntangled: (error) => TAKEN.test(saidBy(error)) || (error instanceof PostgresError && RETRIED.has(error.code)),
  }
}
