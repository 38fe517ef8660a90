import { ConfigurationError } from '../message/errors.ts'
import type { PostgresBrokerOptions } from './options.ts'

/** What the client needs to reach the server. */
export interface Server {
  readonly config: Readonly<Record<string, unknown>>
  /** The server without a password, for people. */
  readonly where: string
}

/** Puts together what names the server: the fields win over the URL, and `client` over both. */
export function serverOf(options: PostgresBrokerOptions): Server {
  const { url, host, port, username, password, database, tls, client = {} } = options
  const named = { host, port, user: username, password, database, ssl: tls }
  const given = Object.entries(named).filter(([, value]) => value !== undefined)
  const config: Record<string, unknown> = { ...(url === undefined ? {} : ofUrl(url, tls !== undefined)) }
  for (const [name, value] of [...given, ...Object.entries(client)]) config[name] = value
  return { config, where: `Postgres at ${shown(config)}` }
}

/**
 * The client would let its URL win over everything else, so the parts are taken out here; what it reads from the query
 * (`sslmode`, `application_name` …) stays for the client.
 */
function ofUrl(text: string, ownTls: boolean): Record<string, unknown> {
  const url = URL.parse(text)
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    // Not shown: it can hold a password.
    throw new ConfigurationError(
      `PostgresBroker: url is no Postgres URL; give one like postgres://user:password@host:5432/database`,
    )
  }
  const config: Record<string, unknown> = {}
  if (url.hostname !== '') config['host'] = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (url.port !== '') config['port'] = Number(url.port)
  if (url.username !== '') config['user'] = decodeURIComponent(url.username)
  if (url.password !== '') config['password'] = decodeURIComponent(url.password)
  if (url.pathname.length > 1) config['database'] = decodeURIComponent(url.pathname.slice(1))
  if (ownTls) for (const name of ['ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert']) url.searchParams.delete(name)
  if (url.search !== '') config['connectionString'] = `postgres:///${url.search}`
  return config
}

function shown(config: Readonly<Record<string, unknown>>): string {
  const { host, port, database, user } = config
  const server = `${text(host, process.env['PGHOST'] ?? 'localhost')}:${text(port, process.env['PGPORT'] ?? '5432')}`
  const name = text(database, process.env['PGDATABASE'] ?? text(user, process.env['PGUSER'] ?? ''))
  return name === '' ? server : `${server}/${name}`
}

function text(value: unknown, otherwise: string): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : otherwise
}
