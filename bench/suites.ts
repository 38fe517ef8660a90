import { bullmq } from './bullmq/index.ts'
import { kafka } from './kafka/index.ts'
import { memory } from './memory/index.ts'
import { nats } from './nats/index.ts'
import { postgres } from './postgres/index.ts'
import { rabbitmq } from './rabbitmq/index.ts'
import { redisPubSub } from './redis-pubsub/index.ts'
import { redisStreams } from './redis-streams/index.ts'
import { sqlite } from './sqlite/index.ts'
import { storePostgres } from './store-postgres/index.ts'
import { storeSqlite } from './store-sqlite/index.ts'

export const suites = {
  memory,
  sqlite,
  postgres,
  'redis-streams': redisStreams,
  'redis-pubsub': redisPubSub,
  nats,
  kafka,
  bullmq,
  rabbitmq,
  'store-sqlite': storeSqlite,
  'store-postgres': storePostgres,
} as const
export type SuiteName = keyof typeof suites
