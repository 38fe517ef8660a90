export { KafkaBroker } from './broker.ts'
export type { BrokerLogger } from '../broker/logger.ts'
export type { KafkaBrokerOptions } from './options.ts'
export type { Difference } from './topology.ts'
