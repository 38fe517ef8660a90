import { code, count, flagOrCode, oneOf, secret, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface KafkaConfig {
  readonly type: 'kafka'
  /** Settings of `KafkaBroker`. */
  readonly kafka?: {
    /** `host:9092`, `kafka://user:password@host:9092`, `kafkas://…` for TLS, several with commas. Default `127.0.0.1:9092`. */
    readonly brokers?: string | readonly string[]
    readonly username?: string
    readonly password?: string
    /** Default `PLAIN`. */
    readonly mechanism?: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    /** `true`, or `{ ca, cert, key, servername }`. */
    readonly tls?: boolean | object
    /** First part of every topic and consumer group; may be empty. Default `busbar`. */
    readonly prefix?: string
    /** Default `busbar`. */
    readonly clientId?: string
    /** Milliseconds. Default 30 000. */
    readonly connectTimeout?: number
    /** Milliseconds. Default 30 000. */
    readonly requestTimeout?: number
    /** Milliseconds. Default 120 000. */
    readonly publishTimeout?: number
    /** Milliseconds (Kafka's session timeout). Default 15 000. */
    readonly lease?: number
    /** Milliseconds. Default: a tenth of the lease. */
    readonly heartbeat?: number
    /** Default 8. */
    readonly partitions?: number
    /** Copies of each topic; -1: the server's default. Default -1. */
    readonly replicas?: number
    /** Milliseconds that messages are kept; -1: for ever. Default 7 days. */
    readonly maxAge?: number
    /** Bytes of a partition above which its oldest messages go. Default -1: no limit. */
    readonly maxBytes?: number
    /** Other settings of topics, by their name on the server. */
    readonly topicConfig?: object
    /** Default `none`. */
    readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
    /** Default 2 000 000. */
    readonly maxMessageBytes?: number
    /** Bytes read ahead of a partition. Default 131 072. */
    readonly fetchBytes?: number
    /** Options of the client that Busbar has no name for. */
    readonly client?: object
    readonly logger?: object
  }
}

const addresses = {
  ...secret,
  words: 'an address (host:9092 or kafka://host:9092) or a list of them',
  accepts: (value: unknown): boolean =>
    text.accepts(value) || (Array.isArray(value) && value.length > 0 && value.every(text.accepts)),
}

/** The first part of every name may be nothing. */
const mayBeEmpty = { ...text, words: 'a text', accepts: (value: unknown): boolean => typeof value === 'string' }

export const kafka: BrokerEntry = {
  schemes: ['kafka', 'kafkas'],
  example: 'kafka://127.0.0.1:9092',
  fields: {
    brokers: { kind: addresses, env: 'BUSBAR_KAFKA_URL' },
    username: { kind: text, env: 'BUSBAR_KAFKA_USERNAME' },
    password: { kind: secret, env: 'BUSBAR_KAFKA_PASSWORD' },
    mechanism: { kind: oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'), env: 'BUSBAR_KAFKA_MECHANISM' },
    tls: { kind: flagOrCode, env: 'BUSBAR_KAFKA_TLS' },
    prefix: { kind: mayBeEmpty, env: 'BUSBAR_KAFKA_PREFIX' },
    clientId: { kind: text, env: 'BUSBAR_KAFKA_CLIENT_ID' },
    connectTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_KAFKA_CONNECT_TIMEOUT' },
    requestTimeout: { kind: count(100, 'milliseconds'), env: 'BUSBAR_KAFKA_REQUEST_TIMEOUT' },
    publishTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_KAFKA_PUBLISH_TIMEOUT' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_KAFKA_LEASE' },
    heartbeat: { kind: count(10, 'milliseconds'), env: 'BUSBAR_KAFKA_HEARTBEAT' },
    partitions: { kind: count(1), env: 'BUSBAR_KAFKA_PARTITIONS' },
    replicas: { kind: count(-1), env: 'BUSBAR_KAFKA_REPLICAS' },
    maxAge: { kind: count(-1, 'milliseconds'), env: 'BUSBAR_KAFKA_MAX_AGE' },
    maxBytes: { kind: count(-1, 'bytes'), env: 'BUSBAR_KAFKA_MAX_BYTES' },
    topicConfig: { kind: code },
    compression: { kind: oneOf('none', 'gzip', 'snappy', 'lz4', 'zstd'), env: 'BUSBAR_KAFKA_COMPRESSION' },
    maxMessageBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_KAFKA_MAX_MESSAGE_BYTES' },
    fetchBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_KAFKA_FETCH_BYTES' },
    client: { kind: code },
    logger: { kind: code },
  },
  // The broker takes the hosts and credentials apart.
  ofUrl: ({ href }) => ({ brokers: href }),
  async load(settings) {
    const { KafkaBroker } = await import('../../kafka/index.ts')
    return new KafkaBroker(settings)
  },
}
