export { RedisStreamsBroker } from './broker.ts'
export { RedisPubSubBroker } from './pubsub-broker.ts'
export type {
  BrokerLogger,
  RedisConnectionOptions,
  RedisPubSubBrokerOptions,
  RedisStreamsBrokerOptions,
  RetentionOptions,
} from './options.ts'
