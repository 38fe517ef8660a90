import type { Redis } from 'ioredis'
import type { Connections } from '../ioredis/connections.ts'
import type { Settings } from './options.ts'
import type { Queues } from './queues.ts'
import type { Registry } from './registry.ts'

/** What the parts of one broker share. */
export interface BullMqContext {
  readonly settings: Settings
  readonly connections: Connections
  /** For everything that does not block. */
  readonly redis: Redis
  readonly queues: Queues
  readonly registry: Registry
}
