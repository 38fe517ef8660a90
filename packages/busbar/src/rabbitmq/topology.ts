import type { Channel } from 'amqplib'
import { partitionOf } from '../broker/partitioning.ts'
import { ConfigurationError } from '../message/errors.ts'
import { type RabbitContext, withChannel } from './context.ts'
import { codeOf } from './errors.ts'

export interface Topic {
  readonly name: string
  readonly exchange: string
  /** Fixed when the topic is made. */
  readonly partitions: number
}

/** A queue or exchange as Busbar makes it. */
export interface Wanted {
  readonly name: string
  readonly kind: 'queue' | 'topic' | 'fanout'
  readonly args: Readonly<Record<string, unknown>>
}

/** Channels that make the queues of a group beside each other: each takes the server some disk writes. */
const LANES = 4

/**
 * Every queue of ours. A delivery limit is set only because without one RabbitMQ puts what comes back at the end of the queue,
 * and from 4.0 on drops it the 20th time; Busbar counts by itself.
 */
const QUORUM = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 } as const
/** One consumer at a time, the next one only when it is gone. */
const SINGLE = { ...QUORUM, 'x-single-active-consumer': true } as const

/** A queue that hands on, without loss, what its consumer rejects. */
const handingOn = (exchange: string) =>
  ({
    ...SINGLE,
    'x-dead-letter-exchange': exchange,
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  }) as const

/** The latest entry alone. */
export const REGISTER = { ...QUORUM, 'x-max-length': 1, 'x-overflow': 'drop-head' } as const
export const SHELF = SINGLE
export const PRESENCE = QUORUM

/** The exchanges and queues of topics and groups. Made when a topic is first published to or subscribed to, and again after a reconnect. */
export class Topology {
  /** While topics are being made: publishes wait for it, so that none overtakes an earlier one. */
  making: Promise<unknown> | undefined

  private readonly context: RabbitContext
  private readonly onTopic: (topic: Topic) => Promise<void>
  private readonly topics = new Map<string, Topic>()
  private turn = 0

  /** `onTopic` is told of each topic that this process uses for the first time. */
  constructor(context: RabbitContext, onTopic: (topic: Topic) => Promise<void>) {
    this.context = context
    this.onTopic = onTopic
  }

  known(name: string): Topic | undefined {
    return this.topics.get(name)
  }

  /** What is known of the server may not be so any more: everything is declared again when it is next needed. */
  forget(): void {
    this.topics.clear()
  }

  async ensure(names: readonly string[]): Promise<Topic[]> {
    const missing = [...new Set(names)].filter((name) => !this.topics.has(name))
    const found = new Map<string, Topic>()
    if (missing.length > 0) {
      const making = Promise.all(missing.map(async (name) => found.set(name, await this.makeTopic(name))))
      this.making = making
      try {
        await making
      } finally {
        if (this.making === making) this.making = undefined
      }
    }
    return names.map((name) => (found.get(name) ?? this.topics.get(name)) as Topic)
  }

  /** Messages of one key share a partition; those without one take turns. */
  partitionFor(topic: Topic, key: string | undefined): number {
    if (key !== undefined) return partitionOf(key, topic.partitions)
    this.turn = (this.turn + 1) % topic.partitions
    return this.turn
  }

  /** Makes what a group needs of a topic; from then on it gets everything that is published. */
  async makeGroup(topic: Topic, group: string): Promise<void> {
    await this.makeGroupExchange(topic, group)
    const { context } = this
    const { names } = context
    const wanted = this.groupQueues(topic, group)
    const lanes = Array.from({ length: Math.min(LANES, wanted.length) }, (_, lane) =>
      withChannel(context, `make the queues of group ${group}`, async (channel) => {
        for (let n = lane; n < wanted.length; n += LANES) await declare(channel, wanted[n] as Wanted)
      }),
    )
    await Promise.all(lanes)
    await withChannel(context, `bind the queues of group ${group}`, async (channel) => {
      const later = names.later(topic.name, group)
      await channel.bindQueue(later, later, '')
      for (let n = 0; n < topic.partitions; n++) {
        const queue = names.queue(topic.name, group, n)
        await channel.bindQueue(queue, names.group(topic.name, group), String(n))
        await channel.bindQueue(queue, topic.exchange, String(n))
      }
      await channel.bindQueue(names.queue(topic.name, group, 0), names.any(topic.name), '')
    })
  }

  /** The exchange by which a group alone is reached. It takes nothing as long as nobody is bound to it. */
  async makeGroupExchange(topic: Topic, group: string): Promise<void> {
    await withChannel(this.context, `make the exchange of group ${group}`, async (channel) => {
      for (const one of this.groupExchanges(topic, group)) await declare(channel, one)
    })
  }

  /** Deletes what `makeGroup` made, with the messages in it. */
  async deleteGroup(topic: Topic, group: string): Promise<void> {
    const { names } = this.context
    await withChannel(this.context, `delete group ${group}`, async (channel) => {
      for (const { name } of this.groupQueues(topic, group)) await channel.deleteQueue(name)
      for (let n = 0; n < topic.partitions; n++) await channel.deleteQueue(names.marks(topic.name, group, n))
      for (const { name } of this.groupExchanges(topic, group)) await channel.deleteExchange(name)
    })
  }

  /** Everything of a topic, for `verify`. */
  topicParts(name: string): readonly Wanted[] {
    const { names } = this.context
    return [
      { name: names.any(name), kind: 'fanout', args: {} },
      { name: names.topic(name), kind: 'topic', args: { 'alternate-exchange': names.any(name) } },
      { name: names.delayed(name), kind: 'fanout', args: {} },
      { name: names.delayed(name), kind: 'queue', args: handingOn(names.topic(name)) },
    ]
  }

  /** Everything of a group on a topic, for `verify`. */
  groupParts(topic: Topic, group: string): readonly Wanted[] {
    return [...this.groupExchanges(topic, group), ...this.groupQueues(topic, group)]
  }

  partitionsPart(name: string, partitions: number): Wanted {
    return { name: this.context.names.partitions(name), kind: 'queue', args: { ...QUORUM, 'x-max-length': partitions } }
  }

  private groupExchanges(topic: Topic, group: string): Wanted[] {
    const { names } = this.context
    return [
      { name: names.group(topic.name, group), kind: 'topic', args: {} },
      { name: names.later(topic.name, group), kind: 'fanout', args: {} },
    ]
  }

  private groupQueues(topic: Topic, group: string): Wanted[] {
    const { names } = this.context
    const queues = Array.from({ length: topic.partitions }, (_, n): Wanted => {
      return { name: names.queue(topic.name, group, n), kind: 'queue', args: SINGLE }
    })
    return [
      ...queues,
      { name: names.later(topic.name, group), kind: 'queue', args: handingOn(names.group(topic.name, group)) },
    ]
  }

  private async makeTopic(name: string): Promise<Topic> {
    const { context } = this
    const partitions = await this.agreeOnPartitions(name)
    await withChannel(context, `make topic ${name}`, async (channel) => {
      for (const part of this.topicParts(name)) await declare(channel, part)
      await channel.bindQueue(context.names.delayed(name), context.names.delayed(name), '')
    })
    const topic = { name, exchange: context.names.topic(name), partitions }
    await this.onTopic(topic)
    this.topics.set(name, topic)
    return topic
  }

  /**
   * Whoever comes first decides: the number is a setting of a queue without messages, and the server refuses to declare it with
   * another one, saying which one it has.
   */
  private async agreeOnPartitions(name: string): Promise<number> {
    const { context } = this
    const { partitions } = context.settings
    const wanted = this.partitionsPart(name, partitions)
    try {
      await withChannel(context, `make topic ${name}`, (channel) => declare(channel, wanted))
      return partitions
    } catch (error) {
      const found = currentOf((error as Error).message, 'x-max-length')
      if (codeOf((error as Error).cause) !== 406 || !(Number(found) >= 1)) throw error
      return Number(found)
    }
  }
}

/** The value that the server has, out of its refusal of another one: `none`, or as text. */
export function currentOf(message: string, setting: string): string | undefined {
  if (!message.includes(`inequivalent arg '${setting}'`)) return undefined
  const found = /but current is (?:the value )?(?:'([^']*)'|(none))/.exec(message)
  return found?.[1] ?? found?.[2]
}

export async function declare(channel: Channel, { name, kind, args }: Wanted): Promise<void> {
  if (Buffer.byteLength(name) > 255) throw new ConfigurationError(`the name ${name} is too long for RabbitMQ`)
  if (kind === 'queue') await channel.assertQueue(name, { durable: true, arguments: { ...args } })
  else await channel.assertExchange(name, kind, { durable: true, arguments: { ...args } })
}
