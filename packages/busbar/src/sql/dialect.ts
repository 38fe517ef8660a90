import type { HeldBack } from '../broker/index.ts'
import type { Batched, Position } from './batched.ts'
import type { SqlValue, Statements } from './executor.ts'
import type { Foreign } from './foreign.ts'

export type { Position } from './batched.ts'

/** All that differs between databases. Everything else of the SQL broker is plain SQL that both understand. */
export interface Dialect extends Batched {
  /** Short name of the broker, for people: `sqlite`. */
  readonly name: string
  /** Statements that lead from version n of the schema to n + 1, for each n from 0. Never changed once released. */
  readonly migrations: readonly (readonly string[])[]
  /** Run first in the transaction that migrates: keeps out other processes that want the same. */
  readonly lockMigrations?: string
  /** A query for `name`: whatever there is by a name that begins with `busbar_`. */
  readonly relations: string
  /** Ends a SELECT whose rows are about to be changed: nobody else can change them before the end of the transaction. */
  readonly forUpdate: string
  /**
   * From here to its end the transaction counts when it is committed in the memory of the server: a crash of the server may
   * take it back. Only for what repeats harmlessly. Absent: the database has no such thing.
   */
  readonly relax?: string
  /** A position before all messages. */
  readonly start: Position
  /** A query for `position`: everything committed later is after it. What is at or before it can be read and counted. */
  readonly end: string
  /** As `end`, and everything committed before the call is at or before it. May wait a moment for that. */
  head(sql: Statements): Promise<Position>
  /** Reads the messages at the positions of a list, in order. Parameters: topic, partition, what `listOf` makes of them. */
  readonly readAt: string
  listOf(positions: readonly Position[]): SqlValue
  isBefore(a: Position, b: Position): boolean
  /** Text of an ordered list of positions, short where they are close together; and back. */
  encodePositions(positions: readonly Position[]): string[]
  decodePositions(texts: readonly string[]): Position[]
  /** How transactions that others begin are written to. */
  readonly foreign: Foreign
  /** What keeps committed messages from being read, where there can be such a thing. */
  heldBack?(sql: Statements): Promise<HeldBack | undefined>
}
