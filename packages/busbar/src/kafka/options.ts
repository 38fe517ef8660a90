import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { ConnectionOptions } from '@platformatic/kafka'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { serversOf, type Servers } from './address.ts'

export interface KafkaBrokerOptions {
  /**
   * `host:9092`, `kafka://user:password@host:9092`, `kafkas://…` for TLS; several in a list or separated by commas.
   * Default: `127.0.0.1:9092`.
   */
  readonly brokers?: string | readonly string[]
  /** Wins over the one of the URL, as does `password`. */
  readonly username?: string
  readonly password?: string
  /** How `username` and `password` are shown to the server (SASL). Default: `PLAIN`. */
  readonly mechanism?: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. */
  readonly tls?: boolean | TlsOptions
  /** Begin of every topic and consumer group of this deployment: letters, digits, `.`, `_` and `-`; may be empty. Default: `busbar`. */
  readonly prefix?: string
  /** Name of this program on the server. Default: `busbar`. */
  readonly clientId?: string
  /** Options of the client's connections: `sasl` with tokens, `connectTimeout` … They win over the ones here. */
  readonly client?: ConnectionOptions
  /** Milliseconds for which `start` tries to reach the servers. Default: 30,000. */
  readonly connectTimeout?: number
  /** Milliseconds to wait for an answer of the server. Default: 30,000. */
  readonly requestTimeout?: number
  /** Milliseconds for which a publish is tried again while the servers cannot be reached. Default: 120,000. */
  readonly publishTimeout?: number
  /**
   * Milliseconds after which a member that gives no sign of life loses its partitions (Kafka's session timeout). The server
   * has limits, `group.min.session.timeout.ms` (6,000) and `group.max.session.timeout.ms`. Default: 15,000.
   */
  readonly lease?: number
  /** Milliseconds between two heartbeats of a member: how soon it hears that another has come or gone. Default: a tenth of the lease. */
  readonly heartbeat?: number
  /** Partitions of a topic that is made by this broker; one that exists is taken as it is. Default: 8. */
  readonly partitions?: number
  /** Copies of each topic that is made by this broker; -1: the server's `default.replication.factor`. Default: -1. */
  readonly replicas?: number
  /** Milliseconds that a topic keeps its messages, whether handled or not; -1: for ever. Default: 7 days. */
  readonly maxAge?: number
  /** Bytes of a partition above which its oldest messages go, handled or not; -1: no limit. Default: -1. */
  readonly maxBytes?: number
  /** Other settings of topics that are made by this broker, by their name on the server: `min.insync.replicas` … */
  readonly topicConfig?: Readonly<Record<string, string>>
  /** What batches are compressed with when they are written; all are read. Default: `none`. */
  readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** Largest body in bytes. The topics' `max.message.bytes` leaves room for headers beside it. Default: 2,000,000. */
  readonly maxMessageBytes?: number
  /** Bytes that are read ahead of one partition at once. Default: 131,072. */
  readonly fetchBytes?: number
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** Bytes that the headers of a message, its dead letter or its redelivery may need beside the body. */
export const HEADER_ROOM = 64 * 1024

/** The options with their defaults. @throws ConfigurationError */
export function complete(options: KafkaBrokerOptions) {
  const { brokers = '127.0.0.1:9092', prefix = 'busbar', clientId = 'busbar', client = {}, lease = 15_000 } = options
  const { connectTimeout = 30_000, requestTimeout = 30_000, publishTimeout = 120_000 } = options
  const { heartbeat = Math.ceil(lease / 10), partitions = 8, replicas = -1, maxAge = 7 * 24 * 3_600_000 } = options
  const { maxBytes = -1, topicConfig = {}, compression = 'none', maxMessageBytes = 2_000_000 } = options
  const { fetchBytes = 131_072 } = options
  const servers = serversOf(brokers)
  if (!/^[A-Za-z0-9._-]*$/.test(prefix)) {
    throw new ConfigurationError(`option 'prefix' must be letters, digits, '.', '_' and '-', not '${prefix}'`)
  }
  whole('lease', lease, 100)
  whole('heartbeat', heartbeat, 10)
  if (heartbeat * 2 > lease) {
    throw new ConfigurationError(`option 'heartbeat' (${heartbeat} ms) must be at most half of 'lease' (${lease} ms)`)
  }
  whole('partitions', partitions, 1)
  whole('maxMessageBytes', maxMessageBytes, 1)
  whole('fetchBytes', fetchBytes, 1)
  if (replicas !== -1) whole('replicas', replicas, 1)
  return {
    brokers: servers.brokers,
    prefix,
    clientId,
    client: { ...accessOf(options, servers), ...client },
    connectTimeout,
    requestTimeout,
    publishTimeout,
    lease,
    heartbeat,
    partitions,
    replicas,
    maxAge,
    maxBytes,
    topicConfig,
    compression,
    maxMessageBytes,
    fetchBytes,
  }
}

/** What the client's connections need to be let in. */
function accessOf(options: KafkaBrokerOptions, servers: Servers): ConnectionOptions {
  const { tls = servers.tls, mechanism = 'PLAIN' } = options
  const { username = servers.username, password = servers.password ?? '' } = options
  return {
    ...(tls === false ? {} : { tls: tls === true ? {} : tls }),
    ...(username === undefined ? {} : { sasl: { mechanism, username, password } }),
  }
}

export type Settings = ReturnType<typeof complete>

function whole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new ConfigurationError(`option '${name}' must be a whole number from ${least}, not ${value}`)
}
