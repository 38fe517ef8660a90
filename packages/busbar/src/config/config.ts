import type { Broker } from '../broker/index.ts'
import type { BusOptions } from '../bus/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { type BrokerConfig, BROKERS } from './brokers/index.ts'
import { checked, code, count, counts, type Fields, flag, text } from './fields.ts'
import { named } from './url.ts'

export type { BrokerConfig } from './brokers/index.ts'

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
  if (typeof given === 'string') {
    const { type, given: own } = named(given)
    return { type, settings: settled(type, `broker URL ${type}:`, own, env) }
  }
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
  return { type, settings: settled(type, `broker.${type}`, own, env) }
}

function settled(
  type: BrokerConfig['type'],
  place: string,
  given: Record<string, unknown>,
  env: Environment,
): Record<string, unknown> {
  const entry = BROKERS[type]
  const settings = checked(place, given, entry.fields, env)
  return entry.complete?.(settings, given) ?? settings
}
