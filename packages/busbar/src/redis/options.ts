import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'

/** Where the server is and how to talk to it. What is named beside `url` wins over it, and `client` over both. */
export interface RedisConnectionOptions {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. Default `redis://127.0.0.1:6379`. */
  readonly url?: string
  readonly host?: string
  /** Default 6379. */
  readonly port?: number
  /** User of the server's ACL. Default: the server's default user. */
  readonly username?: string
  readonly password?: string
  /** Number of the database. Default 0. */
  readonly db?: number
  /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. */
  readonly tls?: boolean | ConnectionOptions
  /** Handed to ioredis as it is: `sentinels`, `connectTimeout`, `family` … */
  readonly client?: RedisOptions
  /** First part of every key and channel. Default `busbar`. */
  readonly prefix?: string
  /** Told of trouble in the background. Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

export interface RedisStreamsBrokerOptions extends RedisConnectionOptions {
  /** Milliseconds after which the partitions of a process that gave no sign of life go to others. Default 10 000. */
  readonly lease?: number
  /** Partitions of topics that this broker makes: how many members of one group can share a topic. Fixed for each topic. Default 16. */
  readonly partitions?: number
  /** How long messages stay in their stream. */
  readonly retention?: RetentionOptions
  /** Time by which delays are kept. Default: the system's. Leases go by the server's clock. */
  readonly clock?: { now(): number }
}

export interface RedisPubSubBrokerOptions extends RedisConnectionOptions {
  /** Messages of one subscription that wait in memory for its handlers; what comes beyond is lost. Default 10 000. */
  readonly maxWaiting?: number
}

export interface RetentionOptions {
  /** Milliseconds. What a known group has not settled stays longer. `Infinity` keeps everything. Default 7 days. */
  readonly maxAge?: number
}

const DAY = 86_400_000

/** The options with their defaults. */
export interface StreamsSettings {
  readonly prefix: string
  readonly lease: number
  readonly partitions: number
  readonly maxAge: number
  readonly logger: BrokerLogger
  now(): number
}

/** @throws ConfigurationError that names the option. */
export function streamsSettings(options: RedisStreamsBrokerOptions): StreamsSettings {
  const { prefix = 'busbar', lease = 10_000, partitions = 16, logger = standardErrorLogger, clock } = options
  const maxAge = options.retention?.maxAge ?? 7 * DAY
  atLeast('lease', lease, 50)
  atLeast('partitions', partitions, 1)
  if (!Number.isInteger(partitions)) throw wrong('partitions', partitions, 'a whole number')
  if (maxAge !== Infinity) atLeast('retention.maxAge', maxAge, 0)
  checkPrefix(prefix)
  return { prefix, lease, partitions, maxAge, logger, now: clock === undefined ? Date.now : () => clock.now() }
}

/** Braces would choose another slot of a cluster than the topic's. */
export function checkPrefix(prefix: string): void {
  if (prefix === '' || /[{}]/.test(prefix)) throw wrong('prefix', prefix, 'a text without braces that is not empty')
}

function atLeast(name: string, value: number, least: number): void {
  if (!(Number.isFinite(value) && value >= least)) throw wrong(name, value, `a number of ${least} or more`)
}

function wrong(name: string, value: string | number, right: string): ConfigurationError {
  return new ConfigurationError(`Redis broker: ${name} is ${JSON.stringify(value)}; give ${right}`)
}
