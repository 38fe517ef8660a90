export * from './broker.ts'
export type { BullMqBrokerOptions } from './options.ts'
export type { Difference } from './topology.ts'
