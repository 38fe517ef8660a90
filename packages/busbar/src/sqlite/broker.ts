import { ConfigurationError } from '../message/errors.ts'
import { SqlBroker } from '../sql/broker.ts'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { DEFAULT_MAX_AGE, type RetentionOptions } from '../sql/retention.ts'
import { sqliteDialect } from './dialect.ts'
import { SqliteExecutor } from './executor.ts'

export interface SqliteBrokerOptions {
  /** Path of the database file; it is made if it is not there, its folder is not. `:memory:` for a private one that nothing survives. */
  readonly file: string | URL
  /**
   * What a commit waits for. `normal` (default): the operating system has it, so the end of the process, also by kill -9,
   * costs nothing; a power cut can take back the last commits, but never damages the file. `full`: the disk has it.
   */
  readonly synchronous?: 'normal' | 'full'
  /** Milliseconds to wait for a lock that another process holds, before a call fails. The event loop stays free. Default 30 000. */
  readonly busyTimeout?: number
  /** Milliseconds after which the partitions of a process that gave no sign of life go to others. Default 10 000. */
  readonly lease?: number
  /** Partitions of topics that this broker makes: how many members of one group can share a topic. Fixed for each topic. Default 16. */
  readonly partitions?: number
  /** Milliseconds between two looks at what other processes have written, while they are quiet. Default 25. */
  readonly pollInterval?: number
  /** How long messages stay in the log. Default: 7 days, and longer what a known group has not settled. */
  readonly retention?: RetentionOptions
  /** Time by which delays are kept. Default: the system's. */
  readonly clock?: { now(): number }
  /** Told of trouble in the background. Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** 16 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/**
 * The durable broker that needs no server: a log in an SQLite file (WAL), which several processes of one machine share.
 *
 * @example
 * const broker = new SqliteBroker({ file: 'orders.db' })
 */
export class SqliteBroker extends SqlBroker {
  constructor(options: SqliteBrokerOptions) {
    const {
      file,
      synchronous = 'normal',
      busyTimeout = 30_000,
      lease = 10_000,
      partitions = 16,
      pollInterval = 25,
    } = options
    if (String(file) === '') throw new ConfigurationError('SqliteBroker: file is empty; give a path or :memory:')
    positive('busyTimeout', busyTimeout, 0)
    positive('lease', lease, 50)
    positive('partitions', partitions, 1)
    positive('pollInterval', pollInterval, 1)
    const { retention = {} } = options
    if (retention.maxAge !== Infinity) positive('retention.maxAge', retention.maxAge ?? DEFAULT_MAX_AGE, 0)
    if (!Number.isInteger(partitions))
      throw new ConfigurationError(`SqliteBroker: partitions is ${partitions}; give a whole number`)
    if (synchronous !== 'normal' && synchronous !== 'full') {
      throw new ConfigurationError(`SqliteBroker: synchronous is ${String(synchronous)}; give normal or full`)
    }
    const isPrivate = file === ':memory:'
    super({
      executor: new SqliteExecutor({ file, synchronous, busyTimeout }),
      dialect: sqliteDialect,
      where: `SQLite file ${String(file)}`,
      lease,
      partitions,
      pollInterval,
      retention,
      logger: options.logger ?? standardErrorLogger,
      now: options.clock === undefined ? Date.now : () => (options.clock as { now(): number }).now(),
      capabilities: {
        inProcess: false,
        durable: !isPrivate,
        multiProcess: !isPrivate,
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
        transactions: !isPrivate,
        maxMessageBytes: MAX_MESSAGE_BYTES,
      },
    })
  }
}

function positive(name: string, value: number, least: number): void {
  if (Number.isFinite(value) && value >= least) return
  throw new ConfigurationError(`SqliteBroker: ${name} is ${value}; give a number of ${least} or more`)
}
