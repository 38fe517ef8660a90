import type { Redis } from 'ioredis'
import { type Outgoing, PublishError } from '../broker/index.ts'
import { Appender } from './appender.ts'
import type { RedisContext } from './context.ts'
import type { Delayed } from './delayed.ts'
import type { CommandClass } from './frame.ts'
import { putAside } from './letters.ts'
import type { Topic } from './topology.ts'

type Failed = { readonly index: number; readonly id: string; readonly error: Error }

/** Writes batches, over a connection of its own: what is published does not wait behind what is consumed. */
export class Publisher {
  private readonly context: RedisContext
  private readonly redis: Redis
  private readonly command: CommandClass
  private readonly delayed: Delayed
  private readonly id: string
  private readonly appenders = new Map<Topic, Appender>()
  /** Calls that wait for a topic to be made: later ones go behind them. */
  private preparing: Promise<unknown> | undefined

  /** `id`: by which the server knows it. */
  constructor(
    context: RedisContext,
    of: { readonly id: string; readonly redis: Redis; readonly command: CommandClass; readonly delayed: Delayed },
  ) {
    this.context = context
    this.id = of.id
    this.redis = of.redis
    this.command = of.command
    this.delayed = of.delayed
  }

  /** Resolves when the server has confirmed every message. */
  async publish(batch: readonly Outgoing[]): Promise<void> {
    if (batch.length === 0) return
    while (this.preparing !== undefined) await this.preparing.catch(() => {})
    const { topics } = this.context
    if (batch.some((one) => topics.known(one.topic) === undefined || this.mustWatch(one))) {
      this.preparing = this.prepare(batch)
      try {
        await this.preparing
      } finally {
        this.preparing = undefined
      }
    }
    const failed: Failed[] = []
    await Promise.all([...this.append(batch, failed), ...this.address(batch, failed)])
    if (failed.length > 0) {
      throw new PublishError(
        failed.toSorted((a, b) => a.index - b.index),
        batch.length,
      )
    }
  }

  private mustWatch({ topic, deliverAt }: Outgoing): boolean {
    return deliverAt !== undefined && !this.delayed.watches(topic)
  }

  private async prepare(batch: readonly Outgoing[]): Promise<void> {
    for (const name of new Set(batch.map((one) => one.topic))) {
      const topic = await this.context.topics.ensure(name)
      if (batch.some((one) => one.topic === name && one.deliverAt !== undefined)) await this.delayed.watch(topic)
    }
  }

  /** What goes into logs: each topic by itself. */
  private append(batch: readonly Outgoing[], failed: Failed[]): Promise<void>[] {
    const byTopic = new Map<string, number[]>()
    for (const [index, { topic, group }] of batch.entries()) {
      if (group !== undefined) continue
      const indices = byTopic.get(topic)
      if (indices === undefined) byTopic.set(topic, [index])
      else indices.push(index)
    }
    return [...byTopic].map(async ([name, indices]) => {
      // Encoded at once, not after an await: order is that of the calls.
      const messages = indices.length === batch.length ? batch : indices.map((index) => batch[index] as Outgoing)
      const errors = await this.appenderOf(this.context.topics.known(name) as Topic).append(messages)
      for (const [at, error] of errors) {
        const index = indices[at] as number
        failed.push({ index, id: batch[index]?.message.id ?? '', error })
      }
    })
  }

  /** What goes to one group alone. */
  private address(batch: readonly Outgoing[], failed: Failed[]): Promise<void>[] {
    return [...batch.entries()].flatMap(([index, outgoing]) => {
      const { message, group, deliverAt } = outgoing
      if (group === undefined) return []
      const { topics, now } = this.context
      const topic = topics.known(outgoing.topic) as Topic
      const partition = topics.partitionFor(topic, message.key)
      const of = { group, topic: topic.name, partition, message, place: `${partition}@-`, dueAt: deliverAt ?? now() }
      return putAside(this.context, { ...of, state: 'due' }).catch((error: unknown) => {
        failed.push({ index, id: message.id, error: error as Error })
      })
    })
  }

  private appenderOf(topic: Topic): Appender {
    let appender = this.appenders.get(topic)
    if (appender === undefined) {
      const { redis, command, id: publisher, delayed } = this
      appender = new Appender(this.context, { redis, command, topic, publisher, delayed })
      this.appenders.set(topic, appender)
    }
    return appender
  }
}
