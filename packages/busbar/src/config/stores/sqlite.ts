import { ConfigurationError } from '../../message/errors.ts'
import type { SqliteEventStorageOptions } from '../../sqlite/index.ts'
import { sqlite as broker, type SqliteConfig } from '../brokers/sqlite.ts'
import type { StoreEntry } from './entry.ts'

export interface SqliteStoreConfig {
  readonly type: 'sqlite'
  /** Settings of `SqliteEventStorage`, which are those of `SqliteBroker`. */
  readonly sqlite: SqliteConfig['sqlite']
}

/** The same file, settings and variables as the broker's: a store and a broker of one application share a log. */
export const sqlite: StoreEntry = {
  schemes: broker.schemes,
  example: broker.example,
  fields: broker.fields,
  ofUrl: (url) => broker.ofUrl(url),
  complete(settings, given) {
    if (settings['file'] === undefined) {
      throw new ConfigurationError(
        `option 'store.sqlite.file' is missing: name the database file, for example sqlite:orders.db`,
      )
    }
    return broker.complete?.(settings, given) ?? settings
  },
  async load(settings) {
    const { SqliteEventStorage } = await import('../../sqlite/index.ts')
    return new SqliteEventStorage(settings as unknown as SqliteEventStorageOptions)
  },
}
