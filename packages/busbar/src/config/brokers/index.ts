import { bullmq, type BullMqConfig } from './bullmq.ts'
import type { BrokerEntry } from './entry.ts'
import { kafka, type KafkaConfig } from './kafka.ts'
import { memory, type MemoryConfig } from './memory.ts'
import { nats, type NatsConfig } from './nats.ts'
import { postgres, type PostgresConfig } from './postgres.ts'
import { rabbitmq, type RabbitMqConfig } from './rabbitmq.ts'
import { redis, type RedisConfig, redisPubSub, type RedisPubSubConfig } from './redis.ts'
import { sqlite, type SqliteConfig } from './sqlite.ts'

export type { BrokerEntry, BrokerUrl } from './entry.ts'

/** Which broker, and its own settings under its own name. */
export type BrokerConfig =
  | MemoryConfig
  | SqliteConfig
  | PostgresConfig
  | RedisConfig
  | RedisPubSubConfig
  | NatsConfig
  | KafkaConfig
  | BullMqConfig
  | RabbitMqConfig

/** Every kind of broker that can be named by a URL or a type. */
export const BROKERS: Readonly<Record<BrokerConfig['type'], BrokerEntry>> = {
  memory,
  sqlite,
  postgres,
  redis,
  'redis-pubsub': redisPubSub,
  nats,
  kafka,
  bullmq,
  rabbitmq,
}
