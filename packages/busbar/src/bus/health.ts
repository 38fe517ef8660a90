import type { BrokerMetrics, OutboxMetrics } from '../broker/index.ts'
import type { SubscriptionStats } from './subscription.ts'

export interface Health {
  readonly status: 'up' | 'down'
  readonly broker: { readonly name: string; readonly status: 'up' | 'down'; readonly error?: string }
  readonly subscriptions: readonly SubscriptionStats[]
}

export interface BusMetrics {
  readonly broker: BrokerMetrics
  readonly subscriptions: readonly SubscriptionStats[]
  /** Requests of this bus that wait for an answer. */
  readonly requests: number
  /** Absent: the bus has no outbox. */
  readonly outbox?: OutboxMetrics
}
