export { RedisStreamsBroker } from './broker.ts'
export type { BrokerLogger, RedisConnectionOptions, RedisStreamsBrokerOptions, RetentionOptions } from './options.ts'
