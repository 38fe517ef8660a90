export { outbox, type OutboxOptions } from './outbox.ts'
export { Relay, type RelayOptions, relayOutbox } from './relay.ts'
