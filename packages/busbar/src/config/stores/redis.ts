import { clientParameters, complete, ofUrl, redis as broker, type RedisServerConfig, server } from '../brokers/redis.ts'
import type { StoreEntry } from './entry.ts'

export interface RedisStoreConfig {
  readonly type: 'redis'
  /** Settings of `RedisEventStorage`. */
  readonly redis?: RedisServerConfig
}

/** The same server, settings and variables as the broker's. */
export const redis: StoreEntry = {
  schemes: broker.schemes,
  example: broker.example,
  fields: server,
  clientParameters,
  ofUrl,
  complete,
  async load(settings) {
    const { RedisEventStorage } = await import('../../redis/index.ts')
    return new RedisEventStorage(settings)
  },
}
