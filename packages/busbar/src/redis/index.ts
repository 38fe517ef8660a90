export { RedisStreamsBroker } from './broker.ts'
export { StoreFormatError } from './event-format.ts'
export { RedisEventStorage } from './event-storage.ts'
export type { Difference } from './verify.ts'
export { RedisPubSubBroker } from './pubsub-broker.ts'
export type {
  RedisConnectionOptions,
  RedisPubSubBrokerOptions,
  RedisStreamsBrokerOptions,
  RetentionOptions,
} from './options.ts'
export type { BrokerLogger } from '../broker/logger.ts'
