import { ConfigurationError } from '../message/errors.ts'

/**
 * Names of topics and groups. A topic of Busbar is the Kafka topic `<prefix>.<name>`; what Kafka does not allow in a name
 * is written `__` and two hex digits a byte, so every name can be read back, and a name of our own never looks like one.
 */
export function token(name: string): string {
  if (name === '') return '__empty'
  return name.replace(/[^A-Za-z0-9._-]|_(?=_)/gu, (char) =>
    [...Buffer.from(char, 'utf8')].map((byte) => `__${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

/** The name that `token` was given. */
export function fromToken(text: string): string {
  if (text === '__empty') return ''
  return text.replace(/(?:__[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll('__', ''), 'hex').toString('utf8'))
}

/** Kafka's own limit. */
const LONGEST = 249
const OF = '.__of.'

/** Topics and groups of one deployment, all under its prefix. */
export class Names {
  /** Begin of all names: the prefix and a dot, or nothing. */
  readonly start: string
  /** Dead letters of all groups. */
  readonly dead: string
  /** Messages that wait for their time, of all topics. */
  readonly delayed: string
  /** Written by `ping`. */
  readonly ping: string

  constructor(prefix: string) {
    this.start = prefix === '' ? '' : `${prefix}.`
    this.dead = `${this.start}__dead`
    this.delayed = `${this.start}__delayed`
    this.ping = `${this.start}__ping`
  }

  /** @throws ConfigurationError where Kafka does not allow a name that long. */
  log(topic: string): string {
    return checked(`${this.start}${token(topic)}`, topic)
  }

  /** Undefined: no topic of this deployment, or one of our own. */
  topicOf(log: string): string | undefined {
    if (!log.startsWith(this.start)) return undefined
    const rest = log.slice(this.start.length)
    const name = fromToken(rest)
    return token(name) === rest ? name : undefined
  }

  /** What a group handed back of one topic, and what was sent to it alone. It has the partitions of the topic. */
  retry(group: string, topic: string): string {
    return checked(`${this.retries(group)}${token(topic)}`, `${group} of ${topic}`)
  }

  /** Begin of all of them of one group. */
  retries(group: string): string {
    return `${this.start}__retry.${token(group)}${OF}`
  }

  retryOf(name: string): { readonly group: string; readonly topic: string } | undefined {
    const start = `${this.start}__retry.`
    const at = name.indexOf(OF)
    if (!name.startsWith(start) || at < 0) return undefined
    return { group: fromToken(name.slice(start.length, at)), topic: fromToken(name.slice(at + OF.length)) }
  }

  group(name: string): string {
    return `${this.start}${token(name)}`
  }

  /** Undefined: no group of this deployment. */
  groupOf(id: string): string | undefined {
    return this.topicOf(id)
  }
}

function checked(name: string, what: string): string {
  if (name.length <= LONGEST) return name
  throw new ConfigurationError(
    `the name of ${what} is too long for Kafka: ${name} has ${name.length} characters of ${LONGEST}`,
  )
}
