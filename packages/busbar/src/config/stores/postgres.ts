import { postgres as broker, type PostgresConfig } from '../brokers/postgres.ts'
import type { StoreEntry } from './entry.ts'

export interface PostgresStoreConfig {
  readonly type: 'postgres'
  /** Settings of `PostgresEventStorage`, which are those of `PostgresBroker`. */
  readonly postgres?: NonNullable<PostgresConfig['postgres']>
}

/** The same database, settings and variables as the broker's: a store and a broker of one application share a log. */
export const postgres: StoreEntry = {
  schemes: broker.schemes,
  example: broker.example,
  fields: broker.fields,
  clientParameters: broker.clientParameters ?? [],
  ofUrl: (url) => broker.ofUrl(url),
  complete: (settings, given) => broker.complete?.(settings, given) ?? settings,
  async load(settings) {
    const { PostgresEventStorage } = await import('../../postgres/index.ts')
    return new PostgresEventStorage(settings)
  },
}
