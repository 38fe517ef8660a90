import type { StoreEntry } from './entry.ts'
import { memory, type MemoryStoreConfig } from './memory.ts'
import { postgres, type PostgresStoreConfig } from './postgres.ts'
import { redis, type RedisStoreConfig } from './redis.ts'
import { sqlite, type SqliteStoreConfig } from './sqlite.ts'

export type { StoreEntry } from './entry.ts'

/** Which event storage, and its own settings under its own name. */
export type StoreConfig = MemoryStoreConfig | SqliteStoreConfig | PostgresStoreConfig | RedisStoreConfig

/** Every kind of event storage that can be named by a URL or a type. */
export const STORES: Readonly<Record<StoreConfig['type'], StoreEntry>> = { memory, sqlite, postgres, redis }
