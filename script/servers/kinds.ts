import { kafka } from './kafka.ts'
import { nats } from './nats.ts'
import { postgres } from './postgres.ts'
import { rabbitmq } from './rabbitmq.ts'
import { redis } from './redis.ts'
import type { ServerKind, ServerName } from './server.ts'

/** The servers that tests can have. */
export const kinds: Readonly<Record<ServerName, ServerKind>> = { redis, postgres, rabbitmq, nats, kafka }
