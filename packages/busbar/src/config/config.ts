import type { Broker } from '../broker/index.ts'
import type { BusOptions } from '../bus/index.ts'
import type { MemoryBrokerOptions } from '../memory/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { SqliteBrokerOptions } from '../sqlite/index.ts'
import { checked, code, count, counts, type Fields, flag, oneOf, text } from './fields.ts'

/** Which broker, and its own settings under its own name. */
export type BrokerConfig =
  | { readonly type: 'memory'; readonly memory?: MemoryBrokerOptions }
  | { readonly type: 'sqlite'; readonly sqlite: SqliteBrokerOptions }

/** Settings of a bus as data: changing the broker is changing `broker`, nothing else. */
export interface BusConfig extends BusOptions {
  /** A URL (`sqlite:orders.db`), a type with its settings, or a broker of your own. Default: `BUSBAR_URL`. */
  readonly broker?: string | BrokerConfig | Broker
}

export type Environment = Readonly<Record<string, string | undefined>>

const brokerKind = {
  words: 'a URL, a broker, or { type, … }',
  accepts: (value: unknown): boolean => text.accepts(value) || code.accepts(value),
  parse: (url: string): string => url,
}

const BUS: Fields = {
  source: { kind: text, env: 'BUSBAR_SOURCE' },
  concurrency: { kind: count(1), env: 'BUSBAR_CONCURRENCY' },
  prefetch: { kind: count(1), env: 'BUSBAR_PREFETCH' },
  stopDeadline: { kind: count(0, 'milliseconds'), env: 'BUSBAR_STOP_DEADLINE' },
  strict: { kind: flag, env: 'BUSBAR_STRICT' },
  broker: { kind: brokerKind, env: 'BUSBAR_URL' },
  topics: { kind: code },
  contracts: { kind: code },
  schemas: { kind: code },
  codec: { kind: code },
  clock: { kind: code },
  logger: { kind: code },
  retry: { kind: code },
  deadLetters: { kind: code },
  onDeadLetter: { kind: code },
  middleware: { kind: code },
}

const RETRY: Fields = {
  retries: { kind: count(0), env: 'BUSBAR_RETRIES' },
  minDelay: { kind: count(0, 'milliseconds'), env: 'BUSBAR_RETRY_MIN_DELAY' },
  maxDelay: { kind: count(0, 'milliseconds'), env: 'BUSBAR_RETRY_MAX_DELAY' },
  redeliveries: { kind: counts, env: 'BUSBAR_REDELIVERIES' },
  crashes: { kind: count(1), env: 'BUSBAR_CRASHES' },
  retryable: { kind: code },
}

const TOPICS: Fields = {
  event: { kind: text, env: 'BUSBAR_EVENT_TOPIC' },
  command: { kind: text, env: 'BUSBAR_COMMAND_TOPIC' },
  query: { kind: text, env: 'BUSBAR_QUERY_TOPIC' },
}

/** What each broker takes. URL parameters have the same names. */
export const BROKERS: Readonly<Record<BrokerConfig['type'], Fields>> = {
  memory: {
    maxMessageBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_MEMORY_MAX_MESSAGE_BYTES' },
    clock: { kind: code },
  },
  sqlite: {
    file: { kind: text, env: 'BUSBAR_SQLITE_FILE' },
    synchronous: { kind: oneOf('normal', 'full'), env: 'BUSBAR_SQLITE_SYNCHRONOUS' },
    busyTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_SQLITE_BUSY_TIMEOUT' },
    lease: { kind: count(100, 'milliseconds'), env: 'BUSBAR_SQLITE_LEASE' },
    partitions: { kind: count(1), env: 'BUSBAR_SQLITE_PARTITIONS' },
    pollInterval: { kind: count(1, 'milliseconds'), env: 'BUSBAR_SQLITE_POLL_INTERVAL' },
    maxAge: { kind: count(0, 'milliseconds'), env: 'BUSBAR_SQLITE_MAX_AGE' },
    retention: { kind: code },
    clock: { kind: code },
    logger: { kind: code },
  },
}

/** The bus's own options, checked and completed from the environment; `broker` as it was given. */
export function busOptions(given: BusConfig, env: Environment): BusConfig {
  const settings = checked('', { ...given }, BUS, env)
  const retry = checked('retry', { ...given.retry }, RETRY, env)
  const topics = checked('topics', { ...given.topics }, TOPICS, env)
  if (Object.keys(retry).length > 0) settings['retry'] = retry
  if (Object.keys(topics).length > 0) settings['topics'] = topics
  return settings
}

/** A broker's type and settings, from an object or a URL, checked and completed from the environment. */
export function brokerSettings(
  given: string | BrokerConfig,
  env: Environment,
): { type: BrokerConfig['type']; settings: Record<string, unknown> } {
  if (typeof given === 'string') return fromUrl(given, env)
  const { type } = given
  const known = Object.keys(BROKERS) as BrokerConfig['type'][]
  if (!known.includes(type)) {
    throw new ConfigurationError(`option 'broker.type' must be one of ${known.join(', ')}, not '${String(type)}'`)
  }
  for (const name of Object.keys(given)) {
    if (name !== 'type' && name !== type) {
      throw new ConfigurationError(`unknown option 'broker.${name}'; with type '${type}' known here: type, ${type}`)
    }
  }
  const own = (given as unknown as Record<string, Record<string, unknown> | undefined>)[type] ?? {}
  return { type, settings: complete(type, checked(`broker.${type}`, own, BROKERS[type], env)) }
}

function fromUrl(url: string, env: Environment): ReturnType<typeof brokerSettings> {
  const colon = url.indexOf(':')
  const scheme = colon === -1 ? '' : url.slice(0, colon).toLowerCase()
  const known = Object.keys(BROKERS).map((each) => `${each}:`)
  if (!Object.hasOwn(BROKERS, scheme)) {
    throw new ConfigurationError(
      `broker URL '${colon === -1 ? url : `${scheme}:…`}' has an unknown scheme; known: ${known.join(', ')} (for example sqlite:orders.db)`,
    )
  }
  const type = scheme as BrokerConfig['type']
  const rest = url.slice(colon + 1)
  const mark = rest.indexOf('?')
  const path = mark === -1 ? rest : rest.slice(0, mark)
  const given: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(mark === -1 ? '' : rest.slice(mark + 1))) {
    const field = Object.hasOwn(BROKERS[type], name) ? BROKERS[type][name] : undefined
    given[name] = field === undefined ? value : (field.kind.parse(value) ?? value)
  }
  if (type === 'sqlite') {
    // sqlite:orders.db and sqlite:./a/b.db are relative, sqlite:/a/b.db and sqlite:///a/b.db are not.
    const file = path.startsWith('///') ? path.slice(2) : path
    if (file !== '') given['file'] = decodeURIComponent(file)
  } else if (path.replaceAll('/', '') !== '') {
    throw new ConfigurationError(`broker URL '${type}:' takes no path; write '${type}:'`)
  }
  return { type, settings: complete(type, checked(`broker URL ${type}:`, given, BROKERS[type], env)) }
}

function complete(type: BrokerConfig['type'], settings: Record<string, unknown>): Record<string, unknown> {
  if (type !== 'sqlite') return settings
  if (settings['file'] === undefined) {
    throw new ConfigurationError(
      `option 'broker.sqlite.file' is missing: name the database file, for example sqlite:orders.db`,
    )
  }
  // A URL or a variable can name the age, not the object that holds it.
  const { maxAge, ...rest } = settings
  return maxAge === undefined || rest['retention'] !== undefined ? rest : { ...rest, retention: { maxAge } }
}
