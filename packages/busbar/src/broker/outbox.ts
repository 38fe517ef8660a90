import type { Transaction } from '../transaction/transaction.ts'
import type { Broker, Outgoing } from './broker.ts'
import type { RelayMetrics } from './metrics.ts'

/** What an outbox has not handed on yet. What the broker refuses is among the dead letters of the outbox's own broker. */
export type OutboxMetrics = RelayMetrics

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
