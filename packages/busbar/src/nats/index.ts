export { NatsBroker } from './broker.ts'
export type { BrokerLogger } from '../broker/logger.ts'
export type { NatsBrokerOptions } from './options.ts'
export type { Difference } from './verify.ts'
