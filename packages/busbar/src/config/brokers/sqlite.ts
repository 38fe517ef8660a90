import { ConfigurationError } from '../../message/errors.ts'
import type { SqliteBrokerOptions } from '../../sqlite/index.ts'
import { code, count, oneOf, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface SqliteConfig {
  readonly type: 'sqlite'
  readonly sqlite: SqliteBrokerOptions
}

export const sqlite: BrokerEntry = {
  schemes: ['sqlite'],
  example: 'sqlite:orders.db',
  fields: {
    file: { kind: text, env: 'BUSBAR_SQLITE_FILE' },
    synchronous: { kind: oneOf('normal', 'full'), env: 'BUSBAR_SQLITE_SYNCHRONOUS' },
    busyTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_SQLITE_BUSY_TIMEOUT' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_SQLITE_LEASE' },
    partitions: { kind: count(1), env: 'BUSBAR_SQLITE_PARTITIONS' },
    pollInterval: { kind: count(1, 'milliseconds'), env: 'BUSBAR_SQLITE_POLL_INTERVAL' },
    maxAge: { kind: count(0, 'milliseconds'), env: 'BUSBAR_SQLITE_MAX_AGE' },
    retention: { kind: code },
    clock: { kind: code },
    logger: { kind: code },
  },
  ofUrl({ path }) {
    // sqlite:orders.db and sqlite:./a/b.db are relative, sqlite:/a/b.db and sqlite:///a/b.db are not.
    const file = path.startsWith('///') ? path.slice(2) : path
    return file === '' ? {} : { file: decodeURIComponent(file) }
  },
  complete(settings) {
    if (settings['file'] === undefined) {
      throw new ConfigurationError(
        `option 'broker.sqlite.file' is missing: name the database file, for example sqlite:orders.db`,
      )
    }
    return withRetention(settings)
  },
  async load(settings) {
    const { SqliteBroker } = await import('../../sqlite/index.ts')
    return new SqliteBroker(settings as unknown as SqliteBrokerOptions)
  },
}

/** A URL or a variable can name the age, not the object that holds it. */
export function withRetention(settings: Record<string, unknown>): Record<string, unknown> {
  const { maxAge, ...rest } = settings
  return maxAge === undefined || rest['retention'] !== undefined ? rest : { ...rest, retention: { maxAge } }
}
