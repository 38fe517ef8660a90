import type { NodeConnectionOptions, TlsOptions } from '@nats-io/transport-node'
import { ConfigurationError } from '../message/errors.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { addressOf } from './address.ts'

export interface NatsBrokerOptions {
  /**
   * `nats://host:4222`, `tls://user:password@host:4222`, `nats://token@host`; several in a list or separated by commas. With
   * `tls://` a connection without TLS is refused. Default: `nats://127.0.0.1:4222`.
   */
  readonly servers?: string | readonly string[]
  /** Wins over the one of the URL, as do `password` and `token`. */
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** Path of a credentials file (`.creds`: JWT and seed of a user). */
  readonly credentials?: string
  /** Seed of an nkey of a user: `SU…`. */
  readonly nkey?: string
  /** `true`, or `{ caFile, certFile, keyFile, handshakeFirst … }`: a connection without TLS is refused. Default: as the server asks. */
  readonly tls?: boolean | TlsOptions
  /** Begin of every stream and subject of this deployment: letters, digits, `_` and `-`. Default: `busbar`. */
  readonly prefix?: string
  /** Options of the client itself: `authenticator`, `inboxPrefix`, `pingInterval` … They win over the ones here. */
  readonly client?: NodeConnectionOptions
  /** Milliseconds for which `start` tries to reach the servers. Default: 30,000. */
  readonly connectTimeout?: number
  /** Milliseconds to wait for an answer of the server. Default: 5,000. */
  readonly requestTimeout?: number
  /** Milliseconds for which a publish is sent again before it fails: within `duplicateWindow`, so that nothing is stored twice. Default: 90,000. */
  readonly publishTimeout?: number
  /** Milliseconds after which a member that gives no sign of life loses its partitions (at least 100). Default: 15,000. */
  readonly lease?: number
  /** Partitions of a topic that is made by this broker; a topic keeps the number that it was made with. Default: 8. */
  readonly partitions?: number
  /** Copies of each stream in a cluster, 1 to 5. Default: 1. */
  readonly replicas?: number
  /** Milliseconds that a topic keeps its messages, whether handled or not; 0: for ever. Default: 7 days. */
  readonly maxAge?: number
  /** Bytes of a topic above which its oldest messages go, handled or not; -1: no limit. Default: -1. */
  readonly maxBytes?: number
  /** Milliseconds in which a message with the same id is taken for the same one, and kept once. Default: 120,000. */
  readonly duplicateWindow?: number
  /** Largest body in bytes; the server's `max_payload` must leave room for headers beside it. Default: 1,000,000. */
  readonly maxMessageBytes?: number
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** The options with their defaults. @throws ConfigurationError */
export function complete(options: NatsBrokerOptions) {
  const { prefix = 'busbar', lease = 15_000, partitions = 8, replicas = 1, maxMessageBytes = 1_000_000 } = options
  const { servers = 'nats://127.0.0.1:4222', client = {}, connectTimeout = 30_000, requestTimeout = 5_000 } = options
  const { publishTimeout = 90_000 } = options
  const { maxAge = 7 * 24 * 3_600_000, maxBytes = -1, duplicateWindow = 120_000 } = options
  if (!/^[A-Za-z0-9_-]+$/.test(prefix)) {
    throw new ConfigurationError(`option 'prefix' must be letters, digits, '_' and '-', not '${prefix}'`)
  }
  whole('partitions', partitions, 1)
  whole('replicas', replicas, 1, 5)
  whole('maxMessageBytes', maxMessageBytes, 1)
  whole('maxBytes', maxBytes, -1)
  milliseconds({ lease }, 100)
  milliseconds({ connectTimeout, maxAge }, 0)
  milliseconds({ requestTimeout, publishTimeout, duplicateWindow }, 100)
  return {
    address: addressOf(servers),
    auth: authOf(options),
    prefix,
    client,
    connectTimeout,
    requestTimeout,
    publishTimeout: Math.min(publishTimeout, duplicateWindow),
    lease,
    partitions,
    replicas,
    maxAge,
    maxBytes,
    duplicateWindow: maxAge > 0 ? Math.min(duplicateWindow, maxAge) : duplicateWindow,
    maxMessageBytes,
  }
}

export type Settings = ReturnType<typeof complete>

function authOf({ user, password, token, credentials, nkey, tls }: NatsBrokerOptions) {
  return { user, password, token, credentials, nkey, tls }
}

function whole(name: string, value: number, from: number, to = Infinity): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return
  const range = to === Infinity ? `from ${from}` : `from ${from} to ${to}`
  throw new ConfigurationError(`option '${name}' must be a whole number ${range}, not ${value}`)
}

function milliseconds(values: Readonly<Record<string, number>>, least: number): void {
  for (const [name, value] of Object.entries(values)) {
    if (!(value >= least)) {
      throw new ConfigurationError(`option '${name}' must be at least ${least} milliseconds, not ${value}`)
    }
  }
}
