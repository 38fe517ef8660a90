import { BrokerError } from '../broker/index.ts'
import type { EventsDialect } from '../sql/events/dialect.ts'
import { sqliteDialect } from './dialect.ts'
import type { SqliteExecutor } from './executor.ts'
import { GroupCommit } from './group-commit.ts'

/** Digits of the greatest whole number that is exact. */
const DIGITS = 16

let commit: GroupCommit | undefined

/** One writer at a time: row ids are in the order of the commits, and a transaction that writes sees all there is. */
export const sqliteEvents: EventsDialect = {
  database: 'sqlite',
  schema: '',
  forUpdate: '',
  isListed: (column) => `${column} IN (SELECT value FROM json_each(?))`,
  settled: '',
  end: sqliteDialect.end,
  endsByBytes: false,
  group: ({ executor }, appends) => (commit ??= new GroupCommit(sqliteEvents)).run(executor as SqliteExecutor, appends),
  makesTopicsApart: false,
  // For a statement of several rows SQLite copies each page that it changes, so that it could be undone alone.
  rowsAtOnce: 1,
  following: (last, count) =>
    Array.from({ length: count }, (_, n) => sqliteEvents.positionOf(Number(last) - count + 1 + n)),
  groupsStreams: true,
  groupsAtOnce: 1,
  positionOf: (value) => String(value).padStart(DIGITS, '0'),
  valueOf: (position) => {
    if (position === '') return 0
    if (/^\d{16}$/.test(position)) return Number(position)
    throw new BrokerError(`'${position}' is no position of events in SQLite: give one that this store has told`)
  },
  given: (value) => value,
  isEntangled: () => false,
}
