import { SqlBroker } from '../sql/broker.ts'
import { Connector } from './connection.ts'
import { postgresDialect } from './dialect.ts'
import { PostgresExecutor } from './executor.ts'
import { Hints } from './hints.ts'
import { complete, type PostgresBrokerOptions } from './options.ts'
import { PublishingExecutor } from './publishing.ts'
import { serverOf } from './server.ts'
import { PreparedStatements } from './statements.ts'
import { differences, type Difference } from './topology.ts'

/** 16 MiB. Postgres takes more, but not without pain. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/**
 * A log in Postgres (13 or later), in a schema of its own, which any number of processes share. Several brokers may share a
 * database, each with its own schema.
 *
 * Connects to the primary and in person: through a pooler only where that keeps a session for each connection.
 *
 * @example
 * const broker = new PostgresBroker({ url: 'postgres://app:secret@db.example.com/orders' })
 */
export class PostgresBroker extends SqlBroker {
  private readonly postgres: PostgresExecutor
  /** Of its tables. */
  readonly schema: string

  constructor(options: PostgresBrokerOptions = {}) {
    const settings = complete(options)
    const { schema, lease, partitions, pollInterval, retention, logger, now } = settings
    const connector = new Connector(serverOf(options), settings)
    const statements = new PreparedStatements()
    const hints = new Hints(connector, schema, pollInterval, logger)
    const executor = new PostgresExecutor({ connector, statements, connections: settings.connections, hints, schema })
    super({
      executor,
      publishing: new PublishingExecutor({ connector, statements, schema }),
      dialect: postgresDialect(schema),
      // With the schema: another one is another log.
      where: `${connector.where}, schema ${schema}`,
      lease,
      partitions,
      pollInterval,
      retention,
      logger,
      now,
      capabilities: {
        inProcess: false,
        durable: true,
        multiProcess: true,
        groups: true,
        broadcast: true,
        order: 'key',
        delivery: 'at-least-once',
        redelivery: true,
        countsCrashes: true,
        delay: true,
        priority: 'window',
        replay: true,
        park: true,
        deadLetters: true,
        transactions: true,
        maxMessageBytes: MAX_MESSAGE_BYTES,
      },
    })
    this.postgres = executor
    this.schema = schema
  }

  /** What differs on the server from what this broker needs: tables, indexes, settings that cost durability. Empty: nothing. */
  verify(): Promise<readonly Difference[]> {
    return this.postgres.read((sql) => differences(sql, this.schema))
  }
}
