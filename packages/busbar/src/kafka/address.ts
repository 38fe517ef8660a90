import { ConfigurationError } from '../message/errors.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** Where the servers are, and who wants in. */
export interface Servers {
  readonly brokers: readonly Address[]
  /** A `kafkas:` URL: a connection without TLS is refused. */
  readonly tls: boolean
  readonly username?: string
  readonly password?: string
}

const PORT = 9092

/**
 * Takes `host:9092`, `kafka://user:password@a:9092,b:9092` and lists of them apart. Errors never show what stands before an `@`.
 *
 * @throws ConfigurationError
 */
export function serversOf(given: string | readonly string[]): Servers {
  const parts = (typeof given === 'string' ? [given] : given).flatMap((text) => text.split(','))
  const found: { brokers: Address[]; tls: boolean; username?: string; password?: string } = { brokers: [], tls: false }
  for (const part of parts) {
    const [, scheme, rest = ''] = /^(?:([a-z+]+):\/\/)?(.*?)\/?$/i.exec(part.trim()) ?? []
    if (scheme !== undefined && !/^kafkas?$/i.test(scheme)) {
      throw new ConfigurationError(
        `option 'brokers' has an unknown scheme; known: kafka://, kafkas:// (kafka://host:9092)`,
      )
    }
    if (scheme?.toLowerCase() === 'kafkas') found.tls = true
    const at = rest.lastIndexOf('@')
    if (at >= 0) Object.assign(found, credentialsOf(rest.slice(0, at)))
    found.brokers.push(addressOf(rest.slice(at + 1)))
  }
  return found
}

/** For people, without what may be a password. */
export function shown({ brokers }: Pick<Servers, 'brokers'>): string {
  return brokers.map(({ host, port }) => `${host}:${port}`).join(', ')
}

function addressOf(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:/@\s]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? PORT)
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port }
  throw new ConfigurationError(
    `option 'brokers' must be 'host:port' or kafka://host:port, one or several, without a path`,
  )
}

function credentialsOf(text: string): { username: string; password?: string } {
  const colon = text.indexOf(':')
  try {
    const username = decodeURIComponent(colon < 0 ? text : text.slice(0, colon))
    return colon < 0 ? { username } : { username, password: decodeURIComponent(text.slice(colon + 1)) }
  } catch {
    throw new ConfigurationError(
      `option 'brokers' has credentials that are not percent-encoded: write '%' as %25 and '@' as %40`,
    )
  }
}
