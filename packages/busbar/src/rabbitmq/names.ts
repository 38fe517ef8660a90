import { ConfigurationError } from '../message/errors.ts'

/**
 * Names of queues and exchanges: parts with `:` between them. What a part may not hold (`:`, `%`, white space, control characters)
 * is percent-encoded, so no two topics or groups ever share a name.
 *
 * | name | what |
 * |---|---|
 * | `busbar:orders` | exchange of the topic `orders`: a message's routing key is its partition |
 * | `busbar:orders::any` | its alternate exchange: what plain clients publish under any other routing key |
 * | `busbar:orders::partitions` | queue without messages; its `x-max-length` is the number of partitions |
 * | `busbar:orders::later` | exchange and queue of what was published with `deliverAt` |
 * | `busbar:orders:billing` | exchange by which the group `billing` alone is reached |
 * | `busbar:orders:billing:3` | queue of partition 3 of the group |
 * | `busbar:orders:billing:3:marks` | register of runs that began; made when the first one has to be remembered |
 * | `busbar:orders:billing:later` | exchange and queue of what the group has to get again later |
 * | `busbar::billing:dead` | dead letters of the group |
 * | `busbar:::registry` | which topics and groups there are |
 * | `busbar:::brokers`, `busbar:::talk` | queue whose consumers are counted, and exchange over which they talk |
 */
export class Names {
  readonly prefix: string
  readonly registry: string
  readonly brokers: string
  readonly talk: string

  constructor(prefix: string) {
    this.prefix = prefix
    this.registry = `${prefix}:::registry`
    this.brokers = `${prefix}:::brokers`
    this.talk = `${prefix}:::talk`
  }

  topic(topic: string): string {
    return this.checked(`${this.prefix}:${part(topic)}`)
  }

  any(topic: string): string {
    return this.checked(`${this.prefix}:${part(topic)}::any`)
  }

  partitions(topic: string): string {
    return this.checked(`${this.prefix}:${part(topic)}::partitions`)
  }

  delayed(topic: string): string {
    return this.checked(`${this.prefix}:${part(topic)}::later`)
  }

  group(topic: string, group: string): string {
    return this.checked(`${this.prefix}:${part(topic)}:${part(group)}`)
  }

  queue(topic: string, group: string, partition: number): string {
    return this.checked(`${this.group(topic, group)}:${partition}`)
  }

  marks(topic: string, group: string, partition: number): string {
    return this.checked(`${this.queue(topic, group, partition)}:marks`)
  }

  later(topic: string, group: string): string {
    return this.checked(`${this.group(topic, group)}:later`)
  }

  letters(group: string): string {
    return this.checked(`${this.prefix}::${part(group)}:dead`)
  }

  /** AMQP's limit for names is in bytes. */
  private checked(name: string): string {
    if (name.length <= 80 || Buffer.byteLength(name) <= 255) return name
    throw new ConfigurationError(
      `RabbitMQ takes names of up to 255 bytes, and '${name.slice(0, 100)}…' is longer: shorten the topic, the group or 'prefix'`,
    )
  }
}

function part(name: string): string {
  if (name === '') return '%'
  return /[\s:%\p{Cc}]/u.test(name) ? name.toWellFormed().replace(/[\s:%\p{Cc}]/gu, encodeURIComponent) : name
}
