import { code, count, flagOrCode, secret, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface BullMqConfig {
  readonly type: 'bullmq'
  /** Settings of `BullMqBroker`. */
  readonly bullmq?: {
    /**
     * `bullmq://user:password@host:port/db`, or `bullmqs://` for TLS. What is named beside it wins over it.
     * Default `bullmq://127.0.0.1:6379`.
     */
    readonly url?: string
    readonly host?: string
    readonly port?: number
    readonly username?: string
    readonly password?: string
    /** Number of the database. */
    readonly db?: number
    /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. */
    readonly tls?: boolean | object
    /** First part of every key: BullMQ's `prefix`. Default `busbar`. */
    readonly prefix?: string
    /** Milliseconds. Default 10 000. */
    readonly lease?: number
    /** Milliseconds after which a waiting message counts as one priority higher. Default 10 000. */
    readonly ageing?: number
    /** Default 1 000. */
    readonly maxEvents?: number
    /** Options of ioredis that Busbar has no name for. */
    readonly client?: object
    readonly logger?: object
  }
}

/** What ioredis calls by the same name. */
const OF_CLIENT = ['host', 'port', 'username', 'password', 'db'] as const

export const bullmq: BrokerEntry = {
  schemes: ['bullmq', 'bullmqs'],
  example: 'bullmq://127.0.0.1:6379',
  fields: {
    url: { kind: secret, env: 'BUSBAR_BULLMQ_URL' },
    host: { kind: text, env: 'BUSBAR_BULLMQ_HOST' },
    port: { kind: count(1), env: 'BUSBAR_BULLMQ_PORT' },
    username: { kind: text, env: 'BUSBAR_BULLMQ_USERNAME' },
    password: { kind: secret, env: 'BUSBAR_BULLMQ_PASSWORD' },
    db: { kind: count(0), env: 'BUSBAR_BULLMQ_DB' },
    tls: { kind: flagOrCode, env: 'BUSBAR_BULLMQ_TLS' },
    prefix: { kind: text, env: 'BUSBAR_BULLMQ_PREFIX' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_BULLMQ_LEASE' },
    ageing: { kind: count(1, 'milliseconds'), env: 'BUSBAR_BULLMQ_AGEING' },
    maxEvents: { kind: count(1), env: 'BUSBAR_BULLMQ_MAX_EVENTS' },
    client: { kind: code },
    logger: { kind: code },
  },
  // ioredis itself reads it from a URL.
  clientParameters: ['family'],
  ofUrl: ({ href }) => ({ url: href }),
  complete(settings, given) {
    // Who names a server by hand does not mean the address that the environment names.
    const others = given['url'] !== undefined ? ['host', 'port', 'db', 'tls'] : []
    if (given['url'] === undefined && given['host'] !== undefined) others.push('url')
    const meant = Object.entries(settings).filter(([name]) => given[name] !== undefined || !others.includes(name))
    return ofBroker(Object.fromEntries(meant))
  },
  async load(settings) {
    const { BullMqBroker } = await import('../../bullmq/index.ts')
    return new BullMqBroker(settings)
  },
}

/** The broker takes a URL and options of ioredis. */
function ofBroker(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { tls, client: given, ...rest }: Record<string, unknown> = settings
  const client: Record<string, unknown> = { ...(given as object | undefined) }
  for (const name of OF_CLIENT) {
    if (rest[name] !== undefined) client[name] = rest[name]
    delete rest[name]
  }
  if (tls !== undefined && tls !== false) client['tls'] = tls === true ? {} : tls
  return Object.keys(client).length === 0 ? rest : { ...rest, client }
}
