import { code, count, flagOrCode, secret, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'
import { withRetention } from './sqlite.ts'

export interface PostgresConfig {
  readonly type: 'postgres'
  /** Settings of `PostgresBroker`. */
  readonly postgres?: {
    /** `postgres://user:password@host:port/database?sslmode=verify-full`. What is named beside it wins over it. Default: the PG… variables. */
    readonly url?: string
    readonly host?: string
    readonly port?: number
    readonly username?: string
    readonly password?: string
    readonly database?: string
    /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. Wins over `sslmode` of the URL. */
    readonly tls?: boolean | object
    /** Schema of Busbar's tables. Default `busbar`. */
    readonly schema?: string
    /** Most connections for members. Default 4. */
    readonly connections?: number
    /** Milliseconds. Default 120 000. */
    readonly connectTimeout?: number
    /** Milliseconds. Default 30 000. */
    readonly statementTimeout?: number
    /** Milliseconds. Default 10 000. */
    readonly lease?: number
    /** Default 16. */
    readonly partitions?: number
    /** Milliseconds. Default 500. */
    readonly pollInterval?: number
    readonly retention?: { readonly maxAge?: number }
    /** Options of pg that Busbar has no name for. */
    readonly client?: object
    readonly clock?: { now(): number }
    readonly logger?: object
  }
}

export const postgres: BrokerEntry = {
  schemes: ['postgres', 'postgresql'],
  example: 'postgres://user:password@127.0.0.1:5432/orders',
  fields: {
    url: { kind: secret, env: 'BUSBAR_POSTGRES_URL' },
    host: { kind: text, env: 'BUSBAR_POSTGRES_HOST' },
    port: { kind: count(1), env: 'BUSBAR_POSTGRES_PORT' },
    username: { kind: text, env: 'BUSBAR_POSTGRES_USERNAME' },
    password: { kind: secret, env: 'BUSBAR_POSTGRES_PASSWORD' },
    database: { kind: text, env: 'BUSBAR_POSTGRES_DATABASE' },
    tls: { kind: flagOrCode, env: 'BUSBAR_POSTGRES_TLS' },
    schema: { kind: text, env: 'BUSBAR_POSTGRES_SCHEMA' },
    connections: { kind: count(1), env: 'BUSBAR_POSTGRES_CONNECTIONS' },
    connectTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_POSTGRES_CONNECT_TIMEOUT' },
    statementTimeout: { kind: count(100, 'milliseconds'), env: 'BUSBAR_POSTGRES_STATEMENT_TIMEOUT' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_POSTGRES_LEASE' },
    partitions: { kind: count(1), env: 'BUSBAR_POSTGRES_PARTITIONS' },
    pollInterval: { kind: count(1, 'milliseconds'), env: 'BUSBAR_POSTGRES_POLL_INTERVAL' },
    maxAge: { kind: count(0, 'milliseconds'), env: 'BUSBAR_POSTGRES_MAX_AGE' },
    retention: { kind: code },
    client: { kind: code },
    clock: { kind: code },
    logger: { kind: code },
  },
  clientParameters: [
    'ssl',
    'sslmode',
    'sslcert',
    'sslkey',
    'sslrootcert',
    'uselibpqcompat',
    'application_name',
    'options',
  ],
  ofUrl: ({ href }) => ({ url: href }),
  /** Who names a server in code does not mean the one of the environment. */
  complete(settings, given) {
    const { url, ...rest } = settings
    const own = given['host'] !== undefined && given['url'] === undefined
    if (own || url === undefined) return withRetention(rest)
    const { host, port, database, ...others } = rest
    const place = Object.entries({ host, port, database }).filter(([name]) => given[name] !== undefined)
    return withRetention(given['url'] === undefined ? settings : { ...others, ...Object.fromEntries(place), url })
  },
  async load(settings) {
    const { PostgresBroker } = await import('../../postgres/index.ts')
    return new PostgresBroker(settings)
  },
}
