import { bullmq } from './bullmq/index.ts'
import { memory } from './memory/index.ts'
import { nats } from './nats/index.ts'
import { redisStreams } from './redis-streams/index.ts'
import { sqlite } from './sqlite/index.ts'

export const suites = { memory, sqlite, 'redis-streams': redisStreams, nats, bullmq } as const
export type SuiteName = keyof typeof suites
