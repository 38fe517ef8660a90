import { type Outgoing, PublishError } from '../broker/index.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { KafkaContext } from './context.ts'
import type { Delayed } from './delayed.ts'
import type { Topic } from './topology.ts'
import { toWire } from './wire.ts'

/** Publishes batches: each message goes to the partition of its key, and is confirmed by the server. */
export class Publisher {
  private readonly context: KafkaContext
  private readonly delayed: Delayed
  private readonly limit: number
  private readonly underWay = new Set<Promise<unknown>>()
  private making: Promise<unknown> | undefined

  constructor(context: KafkaContext, delayed: Delayed, limit: number) {
    this.context = context
    this.delayed = delayed
    this.limit = limit
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { topology } = this.context
    for (const { message } of batch) this.refuseTooLarge(message)
    // An earlier call that still makes its topics goes first.
    while (this.making !== undefined) await this.making.catch(() => {})
    const missing = batch.filter(({ topic }) => topology.known(topic) === undefined)
    if (missing.length > 0) await this.make(missing.map(({ topic }) => topic))
    const now = Date.now()
    // From here to the last write nothing is awaited: the order of the calls is the order in the log.
    const sent = Promise.allSettled(batch.map((outgoing) => this.send(outgoing, now)))
    this.underWay.add(sent)
    const results = await sent
    this.underWay.delete(sent)
    const failed = results.flatMap((result, index) =>
      result.status === 'fulfilled'
        ? []
        : [{ index, id: batch[index]?.message.id ?? '', error: asError(result.reason) }],
    )
    if (failed.length > 0) throw new PublishError(failed, batch.length)
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> {
    await Promise.all(this.underWay)
  }

  private async make(topics: readonly string[]): Promise<void> {
    const making = this.context.topology.ensure([...new Set(topics)])
    this.making = making
    try {
      await making
    } finally {
      if (this.making === making) this.making = undefined
    }
  }

  private send({ topic: name, message, deliverAt, group }: Outgoing, now: number): Promise<unknown> {
    const { topology, producer, asides } = this.context
    const topic = topology.known(name) as Topic
    if (group !== undefined) return asides.publish(group, topic, message, deliverAt ?? now)
    const partition = topology.partitionFor(topic, message.key)
    if (deliverAt !== undefined && deliverAt > now) return this.delayed.publish(topic, partition, message, deliverAt)
    return producer.write(topic.log, partition, toWire(message))
  }

  private refuseTooLarge({ id, type, body }: EncodedMessage): void {
    const size = typeof body === 'string' ? Buffer.byteLength(body) : (body as Uint8Array).byteLength
    if (size <= this.limit) return
    throw new MessageTooLargeError(
      `message ${id} (${type}) has ${size} bytes and kafka takes ${this.limit} ('maxMessageBytes'); nothing was sent. ` +
        'Send a reference to the data instead',
    )
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
