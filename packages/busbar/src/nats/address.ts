import { ConfigurationError } from '../message/errors.ts'

/** Servers, and what their URLs say about how to talk to them. */
export interface Address {
  /** `host:port` each, without credentials: the client reads none from a URL. */
  readonly servers: readonly string[]
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** A `tls:` URL: a connection without TLS is refused. */
  readonly tls?: true
}

const SCHEME = /^(nats|tls):\/\//i

/**
 * Takes URLs apart: `nats://host:4222`, `tls://user:password@a:4222,b:4222`, `nats://token@host`. Errors never show
 * one: it can hold a password.
 *
 * @throws ConfigurationError
 */
export function addressOf(given: string | readonly string[]): Address {
  const urls = (typeof given === 'string' ? [given] : given).flatMap((text) => split(text.trim()))
  if (urls.length === 0) throw new ConfigurationError(`option 'servers' is empty; write nats://host:4222`)
  let found: Omit<Address, 'servers'> = {}
  const servers = urls.map((url) => {
    const { server, ...more } = one(url)
    found = { ...found, ...more }
    return server
  })
  return { servers, ...found }
}

/** Where something went wrong, for errors. */
export function shown({ servers, tls }: Pick<Address, 'servers' | 'tls'>): string {
  return servers.map((server) => `${tls === true ? 'tls' : 'nats'}://${server}`).join(', ')
}

/** One URL of several hosts stands for several; the scheme and the credentials are those of all. */
function split(text: string): string[] {
  return text.split(/,\s*(?=\w+:\/\/)/).flatMap((url) => {
    const scheme = SCHEME.exec(url)?.[0] ?? ''
    const rest = url.slice(scheme.length)
    const at = rest.lastIndexOf('@') + 1
    const hosts = rest.slice(at).split(',')
    return hosts.map((host) => `${scheme}${rest.slice(0, at)}${host.trim()}`)
  })
}

function one(text: string): Omit<Address, 'servers'> & { readonly server: string } {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined && text.includes('://')) {
    throw new ConfigurationError(`option 'servers' has an unknown scheme; known: nats://, tls:// (nats://host:4222)`)
  }
  const rest = text.replace(SCHEME, '')
  let url: URL
  try {
    url = new URL(`http://${rest}`)
  } catch {
    throw new ConfigurationError(`option 'servers' holds what is no address; write nats://host:4222`)
  }
  const port = /:(\d+)\/?$/.exec(rest)?.[1] ?? '4222'
  if (url.hostname === '' || !['', '/'].includes(url.pathname) || url.search !== '') {
    throw new ConfigurationError(`option 'servers' holds what is no address; write nats://host:4222, without a path`)
  }
  return { server: `${url.hostname}:${port}`, ...credentials(url), ...(scheme === 'tls' ? { tls: true } : {}) }
}

/** What stands alone before the `@` is a token. */
function credentials({ username, password }: URL): Omit<Address, 'servers'> {
  if (username === '') return {}
  try {
    if (password === '') return { token: decodeURIComponent(username) }
    return { user: decodeURIComponent(username), password: decodeURIComponent(password) }
  } catch {
    throw new ConfigurationError(`option 'servers' has credentials that are not percent-encoded`)
  }
}
