/** Events kept in an event store before they are published. */
export { KeepingBroker } from './keeping-broker.ts'
export type { PersistenceOptions, ShouldPersist } from './options.ts'
