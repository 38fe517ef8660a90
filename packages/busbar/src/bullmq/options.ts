import type { RedisOptions } from 'ioredis'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'

export interface BullMqBrokerOptions {
  /**
   * Where Redis is: `bullmq://user:password@host:port/db` or `redis://…`; with TLS `bullmqs://…` or `rediss://…`.
   * Default `redis://127.0.0.1:6379`.
   */
  readonly url?: string
  /** Handed to ioredis as it is: `tls`, `username`, `password`, `sentinels`, `connectTimeout` … Wins over `url`. */
  readonly client?: RedisOptions
  /** First part of every key; BullMQ's own `prefix`. On a Redis Cluster put it in braces: `{busbar}`. Default `busbar`. */
  readonly prefix?: string
  /**
   * Milliseconds that a message stays with a process that gives no sign of life (BullMQ's `lockDuration`). Handlers may take
   * longer: a process that lives renews it. Default 10 000.
   */
  readonly lease?: number
  /** Milliseconds after which a message that waits counts as one priority higher, so that nothing starves. Default 10 000. */
  readonly ageing?: number
  /** Entries that BullMQ keeps in the stream of events of each queue (Busbar does not read it). Default 1 000. */
  readonly maxEvents?: number
  /** Told of trouble in the background. Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** The options with their defaults. */
export interface Settings {
  readonly url: string
  readonly client: RedisOptions
  readonly prefix: string
  readonly lease: number
  readonly ageing: number
  readonly maxEvents: number
  readonly logger: BrokerLogger
}

/** @throws ConfigurationError that names the option. */
export function settingsOf(options: BullMqBrokerOptions): Settings {
  const { prefix = 'busbar', lease = 10_000, ageing = 10_000, maxEvents = 1_000 } = options
  const { client = {}, logger = standardErrorLogger } = options
  const url = urlOf(options.url ?? 'redis://127.0.0.1:6379')
  if (prefix === '') throw wrong('prefix', prefix, 'a text that is not empty')
  atLeast('lease', lease, 50)
  atLeast('ageing', ageing, 1)
  atLeast('maxEvents', maxEvents, 1)
  if (client.keyPrefix !== undefined) {
    throw new ConfigurationError('BullMQ broker: client.keyPrefix does not work with BullMQ; use prefix instead')
  }
  return { url, client, prefix, lease, ageing, maxEvents, logger }
}

/** ioredis knows `redis:` and `rediss:`. The password must not be told, so the error names the scheme alone. */
function urlOf(url: string): string {
  const scheme = /^([a-z]+):\/\//i.exec(url)?.[1]?.toLowerCase()
  if (scheme === 'redis' || scheme === 'rediss') return url
  if (scheme === 'bullmq') return `redis${url.slice(6)}`
  if (scheme === 'bullmqs') return `rediss${url.slice(7)}`
  throw new ConfigurationError(
    `BullMQ broker: url begins with ${JSON.stringify(scheme ?? '')}; ` +
      'give bullmq://host:port, redis://host:port or, with TLS, bullmqs:// or rediss://',
  )
}

function atLeast(name: string, value: number, least: number): void {
  if (!(Number.isFinite(value) && value >= least)) throw wrong(name, value, `a number of ${least} or more`)
}

function wrong(name: string, value: string | number, right: string): ConfigurationError {
  return new ConfigurationError(`BullMQ broker: ${name} is ${JSON.stringify(value)}; give ${right}`)
}
