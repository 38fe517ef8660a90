import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { ConfigurationError } from '../message/errors.ts'
import type { BrokerLogger } from '../broker/logger.ts'

export interface NatsBrokerOptions {
  /** `nats://host:4222`, `tls://…`, or several. Default: `nats://127.0.0.1:4222`. */
  readonly servers?: string | readonly string[]
  /** Begin of every stream and subject of this deployment: letters, digits, `_` and `-`. Default: `busbar`. */
  readonly prefix?: string
  /** Options of the client itself: TLS, user, password, token, authenticator … They win over the ones here. */
  readonly client?: NodeConnectionOptions
  /** Milliseconds for which `start` tries to reach the servers. Default: 30,000. */
  readonly connectTimeout?: number
  /** Milliseconds to wait for an answer of the server. Default: 5,000. */
  readonly requestTimeout?: number
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
  const { prefix = 'busbar', lease = 15_000, partitions = 8 } = options
  if (!/^[A-Za-z0-9_-]+$/.test(prefix)) {
    throw new ConfigurationError(`option 'prefix' must be letters, digits, '_' and '-', not '${prefix}'`)
  }
  if (!(lease >= 100)) throw new ConfigurationError(`option 'lease' must be at least 100 milliseconds, not ${lease}`)
  if (!Number.isSafeInteger(partitions) || partitions < 1) {
    throw new ConfigurationError(`option 'partitions' must be a whole number from 1, not ${partitions}`)
  }
  const { servers = 'nats://127.0.0.1:4222', client = {}, connectTimeout = 30_000, requestTimeout = 5_000 } = options
  const { replicas = 1, maxAge = 7 * 24 * 3_600_000, maxBytes = -1, duplicateWindow = 120_000 } = options
  const { maxMessageBytes = 1_000_000 } = options
  return {
    servers: typeof servers === 'string' ? [servers] : [...servers],
    prefix,
    client,
    connectTimeout,
    requestTimeout,
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
