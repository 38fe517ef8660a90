import { code, count, flagOrCode, secret, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface NatsConfig {
  readonly type: 'nats'
  /** Settings of `NatsBroker`. */
  readonly nats?: {
    /** `nats://user:password@host:4222`, `tls://…` for TLS, several with commas. Default `nats://127.0.0.1:4222`. */
    readonly servers?: string | readonly string[]
    readonly user?: string
    readonly password?: string
    readonly token?: string
    /** Path of a `.creds` file. */
    readonly credentials?: string
    /** Seed of a user's nkey. */
    readonly nkey?: string
    /** `true`, or `{ caFile, certFile, keyFile, handshakeFirst }`. */
    readonly tls?: boolean | object
    /** First part of every stream and subject. Default `busbar`. */
    readonly prefix?: string
    /** Milliseconds. Default 30 000. */
    readonly connectTimeout?: number
    /** Milliseconds. Default 5 000. */
    readonly requestTimeout?: number
    /** Milliseconds. Default 15 000. */
    readonly lease?: number
    /** Default 8. */
    readonly partitions?: number
    /** Copies of each stream in a cluster. Default 1. */
    readonly replicas?: number
    /** Milliseconds that messages are kept. Default 7 days; 0: for ever. */
    readonly maxAge?: number
    /** Bytes of a topic above which its oldest messages go. Default: no limit. */
    readonly maxBytes?: number
    /** Milliseconds in which the same id is the same message. Default 120 000. */
    readonly duplicateWindow?: number
    /** Default 1 000 000. */
    readonly maxMessageBytes?: number
    /** Options of the client that Busbar has no name for. */
    readonly client?: object
    readonly logger?: object
  }
}

const addresses = {
  ...secret,
  words: 'an address (nats://host:4222) or a list of them',
  accepts: (value: unknown): boolean =>
    text.accepts(value) || (Array.isArray(value) && value.length > 0 && value.every(text.accepts)),
}

export const nats: BrokerEntry = {
  schemes: ['nats', 'tls'],
  example: 'nats://127.0.0.1:4222',
  fields: {
    servers: { kind: addresses, env: 'BUSBAR_NATS_URL' },
    user: { kind: text, env: 'BUSBAR_NATS_USER' },
    password: { kind: secret, env: 'BUSBAR_NATS_PASSWORD' },
    token: { kind: secret, env: 'BUSBAR_NATS_TOKEN' },
    credentials: { kind: text, env: 'BUSBAR_NATS_CREDENTIALS' },
    nkey: { kind: secret, env: 'BUSBAR_NATS_NKEY' },
    tls: { kind: flagOrCode, env: 'BUSBAR_NATS_TLS' },
    prefix: { kind: text, env: 'BUSBAR_NATS_PREFIX' },
    connectTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_NATS_CONNECT_TIMEOUT' },
    requestTimeout: { kind: count(100, 'milliseconds'), env: 'BUSBAR_NATS_REQUEST_TIMEOUT' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_NATS_LEASE' },
    partitions: { kind: count(1), env: 'BUSBAR_NATS_PARTITIONS' },
    replicas: { kind: count(1), env: 'BUSBAR_NATS_REPLICAS' },
    maxAge: { kind: count(0, 'milliseconds'), env: 'BUSBAR_NATS_MAX_AGE' },
    maxBytes: { kind: count(-1, 'bytes'), env: 'BUSBAR_NATS_MAX_BYTES' },
    duplicateWindow: { kind: count(100, 'milliseconds'), env: 'BUSBAR_NATS_DUPLICATE_WINDOW' },
    maxMessageBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_NATS_MAX_MESSAGE_BYTES' },
    client: { kind: code },
    logger: { kind: code },
  },
  // The broker takes the hosts and credentials apart.
  ofUrl: ({ href }) => ({ servers: href }),
  async load(settings) {
    const { NatsBroker } = await import('../../nats/index.ts')
    return new NatsBroker(settings)
  },
}
