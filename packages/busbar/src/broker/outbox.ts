import type { Transaction } from '../transaction/transaction.ts'
import type { Broker, Outgoing } from './broker.ts'

/** What an outbox has not handed on yet. */
export interface OutboxMetrics {
  /** Messages that are committed and that the broker has not confirmed. */
  readonly unsent: number
  /** Milliseconds since the oldest of them was made; 0 where there is none. */
  readonly oldestUnsentAge: number
  /** Beside them: what the broker can never take. They are among the dead letters of the outbox's own broker. */
  readonly refused: number
  /** Confirmed by the broker, moved by this process since it began. */
  readonly moved: number
  /** Why the last attempt of this process failed; absent once one has succeeded. */
  readonly failing?: string
}

/**
 * The producer's record of what is to be published, in the database of its own transactions, and the relay that hands it on to
 * a broker. Made by busbar/outbox; a bus knows no more of it than this.
 */
export interface Outbox {
  /** Keeps what is written. */
  readonly broker: Broker
  /** From now on it can be written to, whether the other side can be reached or not. Safe to call twice. */
  start(): Promise<void>
  /** Writes inside a transaction, as `Broker.publishIn` does. */
  publishIn(tx: Transaction, batch: readonly Outgoing[]): Promise<void>
  /** Hands on to `to` what is committed, from now on, unless that happens elsewhere. */
  relay(to: Broker): Promise<void>
  metrics(): Promise<OutboxMetrics>
  /** Ends the relay, then its broker. What is not handed on stays for the next. */
  stop(options?: { readonly deadline?: number }): Promise<void>
}
