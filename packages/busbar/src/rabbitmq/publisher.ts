import { randomUUID } from 'node:crypto'
import type { BrokerLogger } from '../broker/logger.ts'
import { BrokerError, type Outgoing, PublishError } from '../broker/index.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import { againHeaders, dueHeaders } from './again.ts'
import type { RabbitContext } from './context.ts'
import type { Send } from './sender.ts'
import type { Topic, Topology } from './topology.ts'
import { toWire } from './wire.ts'

type Prepared = Omit<Send, 'done'>

/**
 * Publishes batches. Each message is published with `mandatory` and confirmed by the server. One that comes back because no queue took it was
 * published when its topic had no group yet: RabbitMQ keeps nothing for groups to come, so there is nobody whom it could be
 * lost to. It counts as confirmed, as on every broker, and the log says so once for each topic. Addressed to one group that does not exist
 * it is an error.
 */
export class Publisher {
  private readonly context: RabbitContext
  private readonly topology: Topology
  private readonly logger: BrokerLogger
  private readonly onDelayed: (topic: Topic) => Promise<void>
  private readonly lonely = new Set<string>()

  /** `onDelayed`: somebody has to wait for what is published with a delay. */
  constructor(context: RabbitContext, topology: Topology, onDelayed: (topic: Topic) => Promise<void>) {
    this.context = context
    this.topology = topology
    this.logger = context.logger
    this.onDelayed = onDelayed
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    if (batch.length === 0) return
    refuseTooLarge(batch, this.context.settings.maxMessageBytes, 'rabbitmq')
    const { topology } = this
    // An earlier call that still makes its topics goes first.
    while (topology.making !== undefined) await topology.making.catch(() => {})
    const missing = batch.filter(({ topic }) => topology.known(topic) === undefined)
    if (missing.length > 0) await topology.ensure(missing.map(({ topic }) => topic))
    const special = batch.filter(({ group, deliverAt }) => group !== undefined || deliverAt !== undefined)
    if (special.length > 0) await this.makeReady(special)
    const now = Date.now()
    // Nothing is sent before all of a batch are checked; from here nothing is awaited, so the order of the calls is kept.
    const sends = batch.map((outgoing) => this.prepare(outgoing, now))
    const { promise, resolve } = Promise.withResolvers<void>()
    const failed: { index: number; id: string; error: Error }[] = []
    let open = sends.length
    for (const [index, send] of sends.entries()) {
      const outgoing = batch[index] as Outgoing
      const done = (error: Error | undefined, returned: boolean): void => {
        const failure = error ?? (returned ? this.nobody(outgoing) : undefined)
        if (failure !== undefined) failed.push({ index, id: outgoing.message.id, error: failure })
        if (--open === 0) resolve()
      }
      this.context.sender.push({ ...send, done })
    }
    await promise
    if (failed.length > 0)
      throw new PublishError(
        failed.toSorted((a, b) => a.index - b.index),
        batch.length,
      )
  }

  private async makeReady(special: readonly Outgoing[]): Promise<void> {
    for (const { topic: name, group, deliverAt } of special) {
      const topic = this.topology.known(name) as Topic
      if (group !== undefined) await this.topology.makeGroupExchange(topic, group)
      else if (deliverAt !== undefined) await this.onDelayed(topic)
    }
  }

  /** Checks one message. @throws MessageTooLargeError */
  private prepare({ topic: name, message, deliverAt = 0, group }: Outgoing, now: number): Prepared {
    const { names } = this.context
    const topic = this.topology.known(name) as Topic
    const key = String(this.topology.partitionFor(topic, message.key))
    const { content, options } = toWire(message)
    const due = Math.ceil(deliverAt)
    if (group !== undefined) {
      const again = { entry: randomUUID(), due, attempts: 0, redeliveries: 0, crashes: 0 }
      const headers = { ...options.headers, ...againHeaders(again) }
      const exchange = due > now ? names.later(name, group) : names.group(name, group)
      return { exchange, key, content, options: { ...options, headers, mandatory: true } }
    }
    if (due > now) {
      const headers = { ...options.headers, ...dueHeaders(due) }
      return { exchange: names.delayed(name), key, content, options: { ...options, headers, mandatory: true } }
    }
    options.mandatory = true
    return { exchange: topic.exchange, key, content, options }
  }

  /** A message was confirmed, and no queue took it. */
  private nobody({ topic, group, message }: Outgoing): Error | undefined {
    if (group !== undefined)
      return new BrokerError(`there is no group ${group} on topic ${topic} that could take message ${message.id}`)
    if (this.lonely.has(topic)) return undefined
    this.lonely.add(topic)
    this.logger.warn(
      { topic, type: message.type },
      'published to a topic that no group has subscribed to yet: RabbitMQ keeps such messages for nobody',
    )
    return undefined
  }
}
