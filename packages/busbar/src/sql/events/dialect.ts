import type { Position } from '../../store/index.ts'
import type { Row, SqlValue } from '../executor.ts'
import type { SqlContext } from '../context.ts'
import type { Outcome, Prepared } from './prepared.ts'

/** All that differs between databases where events are kept. */
export interface EventsDialect {
  /** Whose SQL it is, as `Transaction` says it. */
  readonly database: 'postgres' | 'sqlite'
  /** Stands before the name of each table, so that it is found in a transaction of anybody: `"busbar".`, or nothing. */
  readonly schema: string
  /** Ends a SELECT of rows that are about to be changed. */
  readonly forUpdate: string
  /** Whether a column is one of a list, which is JSON text and the one parameter: by an index, even where the table is empty. */
  isListed(column: string): string
  /** Of readers of the whole store: only what nothing can precede any more. Begins with AND, or is empty. */
  readonly settled: string
  /** A query for the `position` of the last that is committed and kept back by `settled`, if any is. Absent: there is no such thing. */
  readonly held?: string
  /** Where the stream's last event is, beside its revision: a column that appends carry on. Absent: it needs none. */
  readonly last?: { readonly column: string; readonly next: string; readonly position: string }
  /** A query for `position`: all that is settled is at or before it. */
  readonly end: string
  /** Whether a page ends in SQL after about so many bytes of bodies, the last parameter; else it is read row by row. */
  readonly endsByBytes: boolean
  /** A query that gives the rest of a transaction the settings that a connection of the user's would have. */
  readonly asUsual?: string
  /**
   * Whether a topic that an append in a transaction of the user's needs is made beside that transaction: nobody else who needs it
   * waits for its end then. Not where one writer excludes all others.
   */
  readonly makesTopicsApart: boolean
  /** The last positions, up to that of a row id: where those of one transaction follow each other without gaps. */
  following?(last: SqlValue, count: number): Position[]
  /** Events of one INSERT. */
  readonly rowsAtOnce: number
  /** Whether several appends to one stream may be in one group. */
  readonly groupsStreams: boolean
  /** Most groups under way at a time. */
  readonly groupsAtOnce: number
  /** Commits appends, each to one stream, in one transaction. What is refused leaves the others alone. */
  group(context: SqlContext, appends: readonly Prepared[]): Promise<readonly Outcome[]>
  positionOf(value: SqlValue | undefined): Position
  /** @throws BrokerError for what is no position of this database. */
  valueOf(position: Position): SqlValue
  /** A value as a transaction of the user's takes it. */
  given(value: SqlValue): SqlValue
  /** Whether somebody else came between: nothing of it has happened, and tried again, one by one, it is seen what they did. */
  isEntangled(error: unknown): boolean
}

/** The least that statements of an append are run by: rows by name, in some transaction. */
export interface Rows {
  all(sql: string, params?: readonly SqlValue[]): Promise<readonly Row[]>
  /** Only in a transaction of ours. */
  run?(sql: string, params?: readonly SqlValue[]): Promise<number>
  /** Only in a transaction of ours, and where rows have ids. */
  insertMany?(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<SqlValue>
}
