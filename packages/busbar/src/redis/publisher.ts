import type { Redis } from 'ioredis'
import { type Outgoing, PublishError } from '../broker/index.ts'
import { run } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { Delayed } from './delayed.ts'
import { putAside } from './letters.ts'
import type { Topic } from './topology.ts'
import { toFields } from './wire.ts'

/** Writes batches: one pipeline, one round trip. Over a connection of its own, which sends again in order when it breaks. */
export class Publisher {
  private readonly context: RedisContext
  private readonly redis: Redis
  private readonly delayed: Delayed
  /** Calls that wait for a topic to be made: later ones go behind them. */
  private preparing: Promise<unknown> | undefined

  constructor(context: RedisContext, redis: Redis, delayed: Delayed) {
    this.context = context
    this.redis = redis
    this.delayed = delayed
  }

  /** Resolves when the server has confirmed every message. */
  async publish(batch: readonly Outgoing[]): Promise<void> {
    if (batch.length === 0) return
    while (this.preparing !== undefined) await this.preparing.catch(() => {})
    const { topics } = this.context
    const missing = new Set(batch.map((one) => one.topic).filter((topic) => topics.known(topic) === undefined))
    if (missing.size > 0) {
      const preparing = Promise.all([...missing].map((topic) => topics.ensure(topic)))
      this.preparing = preparing
      try {
        await preparing
      } finally {
        this.preparing = undefined
      }
    }
    return this.send(batch)
  }

  private async send(batch: readonly Outgoing[]): Promise<void> {
    const { keys, topics, watcher } = this.context
    const pipeline = this.redis.pipeline()
    const now = this.context.now()
    const failed: { index: number; id: string; error: Error }[] = []
    const fail = (index: number, error: unknown): void => {
      failed.push({ index, id: batch[index]?.message.id ?? '', error: error as Error })
    }
    const others: Promise<void>[] = []
    const piped: { readonly index: number; readonly stream: string }[] = []
    for (const [index, outgoing] of batch.entries()) {
      const topic = topics.known(outgoing.topic) as Topic
      const n = topics.partitionFor(topic, outgoing.message.key)
      if (outgoing.group !== undefined || (outgoing.deliverAt ?? 0) > now) {
        others.push(this.sendLater(outgoing, topic, n).catch((error: unknown) => fail(index, error)))
        continue
      }
      const stream = keys.stream(topic.name, n)
      piped.push({ index, stream })
      pipeline.xadd(stream, '*', ...toFields(outgoing.message))
    }
    const results = piped.length === 0 ? [] : await pipeline.exec()
    for (const [at, { index }] of piped.entries()) {
      const error = results?.[at]?.[0]
      if (results === null || error) fail(index, error ?? new Error('no answer'))
    }
    await Promise.all(others)
    for (const stream of new Set(piped.map((one) => one.stream))) watcher.grew(stream)
    if (failed.length > 0) throw new PublishError(failed, batch.length)
  }

  private async sendLater(outgoing: Outgoing, topic: Topic, n: number): Promise<void> {
    const { message, group, deliverAt } = outgoing
    const { keys } = this.context
    if (group !== undefined) {
      const dueAt = deliverAt ?? this.context.now()
      const place = `${n}@-`
      return putAside(this.context, { group, topic: topic.name, partition: n, state: 'due', message, place, dueAt })
    }
    const due = deliverAt ?? 0
    await this.delayed.watch(topic)
    await run(this.redis, 'busbarDelay', [keys.base(topic.name), due, n, ...toFields(message)])
    this.delayed.added(topic, due)
  }
}
