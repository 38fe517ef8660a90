import { code, count, type Fields, flagOrCode, secret, text } from '../fields.ts'
import type { BrokerEntry, BrokerUrl } from './entry.ts'
import { withRetention } from './sqlite.ts'

/** Where a Redis server is and how to talk to it. */
export interface RedisServerConfig {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. What is named beside it wins over it. Default `redis://127.0.0.1:6379`. */
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  /** Number of the database. */
  readonly db?: number
  /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. */
  readonly tls?: boolean | object
  /** First part of every key and channel. Default `busbar`. */
  readonly prefix?: string
  /** Options of ioredis that Busbar has no name for. */
  readonly client?: object
  readonly logger?: object
}

export interface RedisConfig {
  readonly type: 'redis'
  /** Settings of `RedisStreamsBroker`. */
  readonly redis?: RedisServerConfig & {
    /** Milliseconds. Default 10 000. */
    readonly lease?: number
    /** Default 16. */
    readonly partitions?: number
    readonly retention?: { readonly maxAge?: number }
    readonly clock?: { now(): number }
  }
}

export interface RedisPubSubConfig {
  readonly type: 'redis-pubsub'
  /** Settings of `RedisPubSubBroker`. */
  readonly 'redis-pubsub'?: RedisServerConfig & {
    /** Default 10 000. */
    readonly maxWaiting?: number
  }
}

export const server: Fields = {
  url: { kind: secret, env: 'BUSBAR_REDIS_URL' },
  host: { kind: text, env: 'BUSBAR_REDIS_HOST' },
  port: { kind: count(1), env: 'BUSBAR_REDIS_PORT' },
  username: { kind: text, env: 'BUSBAR_REDIS_USERNAME' },
  password: { kind: secret, env: 'BUSBAR_REDIS_PASSWORD' },
  db: { kind: count(0), env: 'BUSBAR_REDIS_DB' },
  tls: { kind: flagOrCode, env: 'BUSBAR_REDIS_TLS' },
  prefix: { kind: text, env: 'BUSBAR_REDIS_PREFIX' },
  client: { kind: code },
  logger: { kind: code },
}

/** Parameters that ioredis itself reads from a URL. */
export const clientParameters = ['family']

export const ofUrl = ({ href }: BrokerUrl): Record<string, unknown> => ({
  url: href.replace(/^(rediss?)\+pubsub:/, '$1:'),
})

/** Who names a server by hand does not mean the address that the environment names. */
export function complete(
  settings: Record<string, unknown>,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const others = given['url'] !== undefined ? ['host', 'port', 'db', 'tls'] : given['host'] !== undefined ? ['url'] : []
  const meant = Object.entries(settings).filter(([name]) => given[name] !== undefined || !others.includes(name))
  return Object.fromEntries(meant)
}

export const redis: BrokerEntry = {
  schemes: ['redis', 'rediss'],
  example: 'redis://127.0.0.1:6379',
  fields: {
    ...server,
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_REDIS_LEASE' },
    partitions: { kind: count(1), env: 'BUSBAR_REDIS_PARTITIONS' },
    maxAge: { kind: count(0, 'milliseconds'), env: 'BUSBAR_REDIS_MAX_AGE' },
    retention: { kind: code },
    clock: { kind: code },
  },
  clientParameters,
  ofUrl,
  complete: (settings, given) => withRetention(complete(settings, given)),
  async load(settings) {
    const { RedisStreamsBroker } = await import('../../redis/index.ts')
    return new RedisStreamsBroker(settings)
  },
}

export const redisPubSub: BrokerEntry = {
  schemes: ['redis+pubsub', 'rediss+pubsub'],
  example: 'redis+pubsub://127.0.0.1:6379',
  fields: { ...server, maxWaiting: { kind: count(1), env: 'BUSBAR_REDIS_MAX_WAITING' } },
  clientParameters,
  ofUrl,
  complete,
  async load(settings) {
    const { RedisPubSubBroker } = await import('../../redis/index.ts')
    return new RedisPubSubBroker(settings)
  },
}
