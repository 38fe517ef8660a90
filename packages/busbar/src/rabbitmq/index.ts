export { RabbitMqBroker } from './broker.ts'
export type { BrokerLogger } from '../broker/logger.ts'
export type { RabbitMqBrokerOptions } from './options.ts'
export type { Difference } from './verify.ts'
