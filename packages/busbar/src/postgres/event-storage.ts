import { SqlEventStorage } from '../sql/events/storage.ts'
import { PostgresBroker } from './broker.ts'
import { postgresEvents } from './events.ts'
import type { PostgresBrokerOptions } from './options.ts'

/** Either a database, or a broker on it, whose connections are shared. */
export type PostgresEventStorageOptions = PostgresBrokerOptions | { readonly broker: PostgresBroker }

/**
 * Events in a Postgres database, in the same log as the messages of `PostgresBroker`: what is appended is published to the groups
 * on that schema by the same commit. A storage on a broker wakes its members at once, and leaves starting and stopping it to you.
 *
 * @example
 * const storage = new PostgresEventStorage({ url: 'postgres://app:secret@db.example.com/orders' })
 */
export class PostgresEventStorage extends SqlEventStorage {
  constructor(options: PostgresEventStorageOptions = {}) {
    const isOwn = !('broker' in options)
    // Plain messages of others are not this one's to delete, unless it is told to.
    const broker = isOwn ? new PostgresBroker({ retention: { maxAge: Infinity }, ...options }) : options.broker
    super(broker, postgresEvents(broker.schema), isOwn)
  }
}
