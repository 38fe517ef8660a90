/** Streams of typed events over any storage. */
export * from './errors.ts'
export * from './event-store.ts'
export * from './options.ts'
export * from './recorded-event.ts'
export type { SnapshotOf } from './retention.ts'
export type { EventHandler, EventSubscription, SubscriptionEnd } from './subscription.ts'
