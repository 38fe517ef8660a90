import type { Transaction } from '../transaction/transaction.ts'
import type { Position } from './position.ts'

/**
 * How far the readers of a store have come: relays, and projections whose read model cannot keep it itself. One process at a
 * time has the claim to a name; a fencing token makes a late one harmless.
 */
export interface Checkpoints {
  /**
   * Claims the name for so many milliseconds, or renews the own claim. Undefined while another owner has it.
   *
   * @param owner One text for each claimant, for example a UUID.
   */
  claim(name: string, owner: string, milliseconds: number): Promise<Claim | undefined>
  /** Remembers a position. False: the claim has gone to another owner meanwhile, and nothing was changed. */
  advance(claim: Claim, position: Position): Promise<boolean>
  /**
   * The same inside a transaction of yours, only where `capabilities.transactions`: what is written beside it is there exactly
   * if the position is. Nobody else can take the claim before its end.
   */
  advanceIn?(tx: Transaction, claim: Claim, position: Position): Promise<boolean>
  /** Gives the claim up, so that the next one need not wait until it runs out. */
  release(claim: Claim): Promise<void>
  /** What is remembered of a name; undefined where nothing is. */
  get(name: string): Promise<Checkpoint | undefined>
  /** Forgets a name: its reader begins anew. Refused, with false, while somebody else has the claim. */
  delete(name: string): Promise<boolean>
}

export interface Claim {
  readonly name: string
  readonly owner: string
  /** Grows with each change of the owner. */
  readonly token: number
  /** Where the reader goes on: `''` at the beginning. */
  readonly position: Position
}

export interface Checkpoint {
  readonly name: string
  readonly position: Position
  /** Undefined where nobody has the claim. */
  readonly owner?: string
  /** Unix milliseconds. */
  readonly updatedAt: number
}
