import { SqlEventStorage } from '../sql/events/storage.ts'
import { SqliteBroker, type SqliteBrokerOptions } from './broker.ts'
import { sqliteEvents } from './events.ts'

/** Either a database, or a broker on it, whose connection is shared. */
export type SqliteEventStorageOptions = SqliteBrokerOptions | { readonly broker: SqliteBroker }

/**
 * Events in an SQLite file, in the same log as the messages of `SqliteBroker`: what is appended is published to the groups on
 * that file by the same commit. A storage on a broker wakes its members at once, and leaves starting and stopping it to you.
 *
 * @example
 * const storage = new SqliteEventStorage({ file: 'orders.db' })
 */
export class SqliteEventStorage extends SqlEventStorage {
  constructor(options: SqliteEventStorageOptions) {
    if ('broker' in options) super(options.broker, sqliteEvents, false)
    // Plain messages of others are not this one's to delete, unless it is told to.
    else super(new SqliteBroker({ retention: { maxAge: Infinity }, ...options }), sqliteEvents, true)
  }
}
