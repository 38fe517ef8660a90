import type { Redis } from 'ioredis'
import type { Hearing } from './hearing.ts'
import type { Keys } from './keys.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Topics } from './topology.ts'
import type { Watcher } from './watcher.ts'

/** What the parts of one broker share. */
export interface RedisContext {
  /** For everything that does not block. */
  readonly redis: Redis
  readonly keys: Keys
  readonly topics: Topics
  readonly watcher: Watcher
  readonly hearing: Hearing
  readonly logger: BrokerLogger
  /** Milliseconds that a member keeps its partitions without a sign of life. */
  readonly lease: number
  /** Time by which delays are kept. Unix milliseconds. */
  readonly now: () => number
}
