import type { BrokerMetrics, OutboxMetrics, RelayMetrics } from '../broker/index.ts'
import type { SubscriptionStats } from './subscription.ts'

export interface Health {
  readonly status: 'up' | 'down'
  readonly broker: { readonly name: string; readonly status: 'up' | 'down'; readonly error?: string }
  readonly subscriptions: readonly SubscriptionStats[]
  /** What the outbox has to hand on. Absent: there is none, or the bus is down. */
  readonly outbox?: OutboxMetrics
  /** What the relay of the event store has to hand on. Absent: there is none, or the bus is down. */
  readonly relay?: RelayMetrics
}

export interface BusMetrics {
  readonly broker: BrokerMetrics
  readonly subscriptions: readonly SubscriptionStats[]
  /** Requests of this bus that wait for an answer. */
  readonly requests: number
  /** Absent: the bus has no outbox. */
  readonly outbox?: OutboxMetrics
  /** Absent: the bus has no event store, or one that publishes by the same commit. */
  readonly relay?: RelayMetrics
}
