import type { SqlValue } from './executor.ts'

/**
 * A place in the log. Opaque outside of the dialect: rows come back in order of it, and it can be stored and handed back.
 * SQLite's is the row id.
 */
export type Position = SqlValue

/** All that differs between databases. Everything else of the SQL broker is plain SQL that both understand. */
export interface Dialect {
  /** Short name of the broker, for people: `sqlite`. */
  readonly name: string
  /** Statements that lead from version n of the schema to n + 1, for each n from 0. Never changed once released. */
  readonly migrations: readonly (readonly string[])[]
  /** Whether the tables of Busbar are there; a query that gives a row if so. */
  readonly hasTables: string
  /** A position before all messages. */
  readonly start: Position
  /** A query for `position`: everything committed so far is at or before it, everything committed later is after it. */
  readonly head: string
  /**
   * Reads the messages of a partition after a position, in order, and none that could be preceded by one that is not yet
   * visible. Parameters: topic, partition, position, limit. Columns: the position, then those of the message.
   */
  readonly readAfter: string
  /** Reads the messages at the positions of a list, in order. Parameter: what `listOf` makes of them. Columns: the same. */
  readonly readAt: string
  listOf(positions: readonly Position[]): SqlValue
  isBefore(a: Position, b: Position): boolean
  /** Text of an ordered list of positions, short where they are close together; and back. */
  encodePositions(positions: readonly Position[]): string[]
  decodePositions(texts: readonly string[]): Position[]
}
