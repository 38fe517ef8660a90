import type { ConnectionOptions } from 'node:tls'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { DEFAULT_MAX_AGE, type RetentionOptions } from '../sql/retention.ts'

/** Where the server is and how to talk to it. What is named beside `url` wins over it, and `client` over both. */
export interface PostgresBrokerOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`. Default: the PG… variables that the client reads. */
  readonly url?: string
  readonly host?: string
  /** Default 5432. */
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly database?: string
  /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. Wins over `sslmode` of the URL. */
  readonly tls?: boolean | ConnectionOptions
  /** Schema of Busbar's tables: letters, digits and `_`. Made if it is not there and the role may. Default `busbar`. */
  readonly schema?: string
  /** Handed to `pg` as it is: `application_name`, `keepAliveInitialDelayMillis`, `options` … */
  readonly client?: Readonly<Record<string, unknown>>
  /** Most connections for the members of this broker; one more publishes and one listens. Default 4. */
  readonly connections?: number
  /** Milliseconds for which `start` and `publish` wait for a server that is away. Default 120 000. */
  readonly connectTimeout?: number
  /** Milliseconds after which the server ends a statement, and a transaction of Busbar that does nothing. Default 30 000. */
  readonly statementTimeout?: number
  /** Milliseconds after which the partitions of a process that gave no sign of life go to others. Default 10 000. */
  readonly lease?: number
  /** Partitions of topics that this broker makes: how many members of one group can share a topic. Fixed for each topic. Default 16. */
  readonly partitions?: number
  /** Milliseconds between two looks at what other processes have written, where no notification told of it. Default 500. */
  readonly pollInterval?: number
  /** How long messages stay in the log. Default: 7 days, and longer what a known group has not settled. */
  readonly retention?: RetentionOptions
  /** Time by which delays are kept. Default: the system's. */
  readonly clock?: { now(): number }
  /** Told of trouble in the background. Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** Checked, with their defaults. */
export interface Settings {
  readonly schema: string
  readonly connections: number
  readonly connectTimeout: number
  readonly statementTimeout: number
  readonly lease: number
  readonly partitions: number
  readonly pollInterval: number
  readonly retention: RetentionOptions
  readonly logger: BrokerLogger
  readonly now: () => number
}

/** @throws ConfigurationError naming the option */
export function complete(options: PostgresBrokerOptions): Settings {
  const { schema = 'busbar', connections = 4, connectTimeout = 120_000, statementTimeout = 30_000 } = options
  const { lease = 10_000, partitions = 16, pollInterval = 500, retention = {}, clock } = options
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(schema)) {
    throw new ConfigurationError(
      `PostgresBroker: schema is '${schema}'; give letters, digits and _, at most 48, the first no digit`,
    )
  }
  if (/^pg_/i.test(schema)) throw new ConfigurationError(`PostgresBroker: schema is '${schema}'; pg_… is Postgres' own`)
  atLeast('connections', connections, 1, true)
  atLeast('connectTimeout', connectTimeout, 0)
  atLeast('statementTimeout', statementTimeout, 100)
  atLeast('lease', lease, 50)
  atLeast('partitions', partitions, 1, true)
  atLeast('pollInterval', pollInterval, 1)
  if (retention.maxAge !== Infinity) atLeast('retention.maxAge', retention.maxAge ?? DEFAULT_MAX_AGE, 0)
  return {
    schema,
    connections,
    connectTimeout,
    statementTimeout,
    lease,
    partitions,
    pollInterval,
    retention,
    logger: options.logger ?? standardErrorLogger,
    now: clock === undefined ? Date.now : () => clock.now(),
  }
}

function atLeast(name: string, value: number, least: number, whole = false): void {
  if (Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value))) return
  const what = whole ? 'a whole number' : 'a number'
  throw new ConfigurationError(`PostgresBroker: ${name} is ${value}; give ${what} of ${least} or more`)
}
