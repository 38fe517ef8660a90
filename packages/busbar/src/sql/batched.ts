import type { SqlValue, Statements, Values } from './executor.ts'
import type { Topic } from './topics.ts'

/**
 * A place in the log. Opaque outside of the dialect: rows come back in order of it, and it can be stored, compared by the
 * database and handed back. SQLite's is the row id.
 */
export type Position = SqlValue

/** What names a lease. */
export interface LeaseName {
  readonly group: string
  readonly topic: Topic
  readonly partition: number
  readonly token: number
}

/** What is done for several partitions at once, where the database gains by it (see `one-by-one.ts`). */
export interface Batched {
  /**
   * Reads what comes next in each partition, in order, and nothing that could be preceded by a message which is not yet
   * visible. `enough` is called for each row; when it says true nothing more is read: a bound on memory.
   */
  readNext(sql: Statements, wanted: readonly Wanted[], enough: Enough, bytes: number): Promise<readonly Next[]>
  /** Stores cursors and renews their leases. For each whether it was still ours; where not, nothing of it was stored. */
  storeCursors(sql: Statements, cursors: readonly Cursor[]): Promise<readonly boolean[]>
  /**
   * The frequent case in one statement: `readNext`, and in the same commit `storeCursors` with what was read as handed out.
   * Everything that is read is taken; at most about `bytes` of it. Like `Dialect.relax`: a crash of the server may take it back.
   */
  fetch?(sql: Statements, wanted: readonly Fetch[], bytes: number): Promise<readonly Fetched[]>
  /**
   * `fetch` of one partition over the connection of an append that is under way, which it reads. Waits for nobody, since later
   * appends wait for it. Undefined: nothing came of it, and nothing has changed.
   */
  fetchBehind?(sql: Statements, wanted: Fetch, bytes: number): Promise<Fetched | undefined>
  /** `storeCursors` as a transaction of its own, which a crash of the server may take back. */
  storeAtOnce?(sql: Statements, cursors: readonly Cursor[]): Promise<readonly boolean[]>
  /** Least number of messages that are read at once before there is room for them, where handlers are quick (`read-ahead.ts`). Only with `storeAtOnce`. */
  readonly readAhead?: number
  /** Messages of one partition that are worth a `fetch`: where handlers are quick, fewer partitions are read at once. */
  readonly worthAFetch?: number
  /** What others may have brought to partitions of one group. */
  look(sql: Statements, partitions: readonly Wanted[], leases: readonly LeaseName[]): Promise<readonly Found[]>
}

export type Enough = (row: Values) => boolean

/** At most `limit` messages of a partition after a position. */
export interface Wanted {
  readonly topic: number
  readonly partition: number
  readonly position: Position
  readonly limit: number
}

export interface Next {
  /** The position, then the columns of the message. */
  readonly rows: readonly Values[]
  /** There may be more at once. */
  readonly more: boolean
  /** There is more, and it cannot be read yet: an earlier transaction is still open. */
  readonly held: boolean
}

export interface Cursor {
  readonly lease: LeaseName
  readonly position: Position
  readonly open: string
  /** Unix milliseconds. */
  readonly expires: number
}

/** What is handed out already, and at most `limit` messages more. */
export interface Fetch extends Cursor {
  readonly limit: number
  /** The cursor is to be stored even if there is nothing more. */
  readonly dirty: boolean
}

export interface Fetched extends Next {
  /** The cursor was stored. */
  readonly stored: boolean
}

export interface Found {
  /** There is something after the position. */
  readonly more: boolean
  /** Unix milliseconds; Infinity: nothing. */
  readonly nextDue: number
  readonly nextSuspect: number
}
