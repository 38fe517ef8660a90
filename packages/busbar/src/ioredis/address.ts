import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { ConfigurationError } from '../message/errors.ts'

const DEFAULT_URL = 'redis://127.0.0.1:6379'

/** Where a server is. */
export interface Address {
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly tls?: boolean | ConnectionOptions
  readonly client?: RedisOptions
}

/** What the client is to connect to: `client` wins over what is named, and that over the URL. */
export function addressOf(options: Address): RedisOptions {
  const { host, port, username, password, db, tls, client } = options
  const named = { host, port, username, password, db, tls: tls === true ? {} : tls === false ? undefined : tls }
  const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined))
  const address: RedisOptions = { ...ofUrl(options.url ?? DEFAULT_URL), ...given, ...client }
  if (tls === false) delete address.tls
  return address
}

/** The server for people, without its password. */
export function whereOf(options: Address): string {
  const { host = '127.0.0.1', port = 6379, path, sentinels, db, tls } = addressOf(options)
  if (path !== undefined && path !== null) return path
  if (sentinels !== undefined && sentinels !== null)
    return `of the sentinels ${sentinels.map((one) => one.host).join(', ')}`
  return `${tls === undefined ? 'redis' : 'rediss'}://${host}:${port}${db ? `/${db}` : ''}`
}

/** @throws ConfigurationError that shows nothing of the URL but its scheme: it can hold a password. */
function ofUrl(text: string): RedisOptions {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const db = url?.pathname.slice(1) ?? ''
  if (url === undefined || !/^rediss?:$/.test(url.protocol) || !/^\d*$/.test(db)) {
    throw new ConfigurationError(
      `Redis broker: url is no address of a Redis server; write redis://user:password@host:port/db, with a number for db, or rediss:// for TLS`,
    )
  }
  const { hostname, port, username, password, searchParams } = url
  return {
    // A host of IPv6 stands in brackets only in a URL.
    host: hostname === '' ? '127.0.0.1' : hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? 6379 : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(db === '' ? {} : { db: Number(db) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
    ...(searchParams.has('family') ? { family: Number(searchParams.get('family')) } : {}),
  }
}
