import type { Broker, Outbox } from '../broker/index.ts'
import type { BusOptions } from '../bus/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { ShouldPersist } from '../persistence/index.ts'
import type { EventStorage } from '../store/index.ts'
import { type BrokerConfig, BROKERS } from './brokers/index.ts'
import type { Routing } from '../hybrid/index.ts'
import type { Entry } from './entry.ts'
import { checked, code, count, counts, type Fields, flag, names, text } from './fields.ts'
import { STORES, type StoreConfig } from './stores/index.ts'
import { type Entries, named } from './url.ts'

export type { BrokerConfig } from './brokers/index.ts'
export type { StoreConfig } from './stores/index.ts'

/** Settings of a bus as data: changing the broker is changing `broker`, nothing else. */
export interface BusConfig extends Omit<BusOptions, 'outbox' | 'store'> {
  /** A URL (`sqlite:orders.db`), a type with its settings, or a broker of your own. Default: `BUSBAR_URL`. */
  readonly broker?: string | BrokerConfig | Broker
  /**
   * A second broker beside it, for what need not leave this process or machine (see `HybridBroker`). `true`: in memory, and
   * nothing goes there until a routing says so.
   */
  readonly hybrid?: boolean | HybridConfig
  /**
   * Where `publish(…, { tx })` writes, in the database of your transactions: a URL (`postgres://…`, `sqlite:orders.db`), or more
   * about it. Default: `BUSBAR_OUTBOX`, else the broker itself, where it can.
   */
  readonly outbox?: string | OutboxConfig | Outbox
  /**
   * Keeps events in an event store before they are published: a URL, a type with its settings, a storage, an event store; or `true`, in
   * the log of a SQL broker itself. On another database a relay publishes what is stored. Default: `BUSBAR_STORE_URL`, else nothing is kept.
   */
  readonly store?: boolean | string | StoreConfig | EventStorage | { readonly storage: EventStorage }
  /** Which are kept: contracts, types and patterns, or a function. Default: every event with a subject. */
  readonly shouldPersist?: ShouldPersist
}

export interface OutboxConfig {
  /** SQLite or Postgres: a URL, a type with its settings, or a broker of your own. */
  readonly broker: string | BrokerConfig | Broker
  /** Whether this process hands on what is committed. Default true; else `relayOutbox` does somewhere. */
  readonly relay?: boolean
  /** Where several applications with brokers of their own share a database. Default `outbox`. */
  readonly name?: string
  /** Most messages on their way at once, in each process. Default 1 000. */
  readonly prefetch?: number
  /** Most messages of one publish. Default 500. */
  readonly batch?: number
}

export interface HybridConfig {
  /** Default: `memory:`. */
  readonly local?: string | BrokerConfig | Broker
  /** Types that stay local; `'ui.*'` names all that begin so. Those in both lists go both ways. */
  readonly localTypes?: readonly string[]
  readonly remoteTypes?: readonly string[]
  /** A routing of your own instead of the lists. */
  readonly routing?: Routing
}

export type Environment = Readonly<Record<string, string | undefined>>

const brokerKind = {
  words: 'a URL, a broker, or { type, … }',
  accepts: (value: unknown): boolean => text.accepts(value) || code.accepts(value),
  parse: (url: string): string => url,
}

const hybridKind = {
  words: 'true, false or { local, localTypes, remoteTypes, routing }',
  accepts: (value: unknown): boolean => flag.accepts(value) || code.accepts(value),
  parse: flag.parse,
}

const outboxKind = {
  words: 'a URL, an outbox, or { broker, relay, name, … }',
  accepts: (value: unknown): boolean => text.accepts(value) || code.accepts(value),
  parse: (url: string): string => url,
}

const storeKind = {
  words: 'true, a URL, an event store, or { type, … }',
  accepts: (value: unknown): boolean => flag.accepts(value) || text.accepts(value) || code.accepts(value),
  parse: (url: string): string => url,
}

const BUS: Fields = {
  source: { kind: text, env: 'BUSBAR_SOURCE' },
  concurrency: { kind: count(1), env: 'BUSBAR_CONCURRENCY' },
  prefetch: { kind: count(1), env: 'BUSBAR_PREFETCH' },
  stopDeadline: { kind: count(0, 'milliseconds'), env: 'BUSBAR_STOP_DEADLINE' },
  strict: { kind: flag, env: 'BUSBAR_STRICT' },
  broker: { kind: brokerKind, env: 'BUSBAR_URL' },
  hybrid: { kind: hybridKind, env: 'BUSBAR_HYBRID' },
  outbox: { kind: outboxKind, env: 'BUSBAR_OUTBOX' },
  store: { kind: storeKind, env: 'BUSBAR_STORE_URL' },
  shouldPersist: { kind: code },
  topics: { kind: code },
  contracts: { kind: code },
  schemas: { kind: code },
  codec: { kind: code },
  privacy: { kind: code },
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

const HYBRID: Fields = {
  local: { kind: brokerKind },
  localTypes: { kind: names, env: 'BUSBAR_LOCAL_TYPES' },
  remoteTypes: { kind: names, env: 'BUSBAR_REMOTE_TYPES' },
  routing: { kind: code },
}

const OUTBOX: Fields = {
  broker: { kind: brokerKind },
  relay: { kind: flag, env: 'BUSBAR_OUTBOX_RELAY' },
  name: { kind: text, env: 'BUSBAR_OUTBOX_NAME' },
  prefetch: { kind: count(1), env: 'BUSBAR_OUTBOX_PREFETCH' },
  batch: { kind: count(1), env: 'BUSBAR_OUTBOX_BATCH' },
}

const TOPICS: Fields = {
  event: { kind: text, env: 'BUSBAR_EVENT_TOPIC' },
  command: { kind: text, env: 'BUSBAR_COMMAND_TOPIC' },
  query: { kind: text, env: 'BUSBAR_QUERY_TOPIC' },
}

/** The bus's own options, checked and completed from the environment; `broker` as it was given. */
export function busOptions(given: BusConfig, env: Environment): BusConfig {
  const settings = checked('', { ...given }, BUS, env)
  const retry = checked('retry', { ...given.retry }, RETRY, env)
  const topics = checked('topics', { ...given.topics }, TOPICS, env)
  const { hybrid } = settings
  if (hybrid === false) delete settings['hybrid']
  else if (hybrid !== undefined) {
    const parts = checked('hybrid', hybrid === true ? {} : { ...(hybrid as HybridConfig) }, HYBRID, env)
    if (parts['routing'] !== undefined && (parts['localTypes'] ?? parts['remoteTypes']) !== undefined) {
      throw new ConfigurationError(`option 'hybrid.routing' decides alone: leave out localTypes and remoteTypes`)
    }
    settings['hybrid'] = parts
  }
  if (Object.keys(retry).length > 0) settings['retry'] = retry
  if (Object.keys(topics).length > 0) settings['topics'] = topics
  return settings
}

/** The settings of an outbox, checked and completed from the environment; `broker` as it was given. */
export function outboxSettings(given: string | OutboxConfig, env: Environment): OutboxConfig {
  const settings = checked('outbox', typeof given === 'string' ? { broker: given } : { ...given }, OUTBOX, env)
  if (settings['broker'] === undefined) {
    throw new ConfigurationError(
      `option 'outbox.broker' is missing: name the database of your transactions, for example 'postgres://…' or 'sqlite:orders.db'`,
    )
  }
  return settings as unknown as OutboxConfig
}

/** A broker's type and settings, from an object or a URL, checked and completed from the environment. */
export function brokerSettings(given: string | BrokerConfig, env: Environment): Settled<BrokerConfig['type']> {
  return settings('broker', BROKERS, given, env)
}

/** The same for an event storage. */
export function storeSettings(given: string | StoreConfig, env: Environment): Settled<StoreConfig['type']> {
  return settings('store', STORES, given, env)
}

interface Settled<Type> {
  readonly type: Type
  readonly settings: Record<string, unknown>
}

function settings<Type extends string>(
  what: string,
  entries: Entries<Type>,
  given: string | { readonly type: Type },
  env: Environment,
): Settled<Type> {
  if (typeof given === 'string') {
    const { type, given: own } = named(what, entries, given)
    return { type, settings: settled(entries[type], `${what} URL ${type}:`, own, env) }
  }
  const { type } = given
  const known = Object.keys(entries) as Type[]
  if (!known.includes(type)) {
    throw new ConfigurationError(`option '${what}.type' must be one of ${known.join(', ')}, not '${String(type)}'`)
  }
  for (const name of Object.keys(given)) {
    if (name !== 'type' && name !== type) {
      throw new ConfigurationError(`unknown option '${what}.${name}'; with type '${type}' known here: type, ${type}`)
    }
  }
  const own = (given as unknown as Record<string, Record<string, unknown> | undefined>)[type] ?? {}
  return { type, settings: settled(entries[type], `${what}.${type}`, own, env) }
}

function settled(
  entry: Entry<unknown>,
  place: string,
  given: Record<string, unknown>,
  env: Environment,
): Record<string, unknown> {
  const own = checked(place, given, entry.fields, env)
  return entry.complete?.(own, given) ?? own
}
