export { RedisStreamsBroker } from './broker.ts'
export { RedisPubSubBroker } from './pubsub-broker.ts'
export type {
  RedisConnectionOptions,
  RedisPubSubBrokerOptions,
  RedisStreamsBrokerOptions,
  RetentionOptions,
} from './options.ts'
export type { BrokerLogger } from '../broker/logger.ts'
