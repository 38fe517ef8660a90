import type { Channel, ConsumeMessage } from 'amqplib'
import {
  type BrokerSubscription,
  type Deliver,
  type Failure,
  type Redeliver,
  type SubscriptionSpec,
  UnsupportedError,
  type Verdict,
} from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import { Quiet } from '../broker/quiet.ts'
import { Acks } from './acks.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { closed } from './channels.ts'
import { HandedOut } from './delivery.ts'
import { explain } from './errors.ts'
import type { MemberParts } from './subscription.ts'
import type { Topic } from './topology.ts'
import { type Wanting, Window } from './window.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/**
 * A member that gets everything published from now on, for itself alone, in queues of its own that go with its connection. Nothing of it
 * is stored but its dead letters: its redeliveries wait in memory. What is published while its connection is away it never sees.
 */
export class BroadcastMember implements BrokerSubscription, Wanting {
  readonly group: string

  private readonly parts: MemberParts
  private readonly spec: SubscriptionSpec
  private readonly onStopped: (member: BroadcastMember) => void
  private readonly window: Window
  private readonly held = new Fifo<HandedOut>()
  private readonly open = new Set<HandedOut>()
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly quiet = new Quiet(() => this.open.size === 0)
  private topics: readonly Topic[] = []
  private channel: Channel | undefined
  private acks: Acks
  private recovering: Promise<void> | undefined
  private stopping: Promise<void> | undefined

  constructor(
    parts: MemberParts,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: BroadcastMember) => void,
  ) {
    if (spec.onFailure === 'park') {
      throw new UnsupportedError(`broadcast subscription ${spec.group} cannot park failed keys: use a group`)
    }
    this.parts = parts
    this.group = spec.group
    this.spec = spec
    this.onStopped = onStopped
    this.window = new Window(spec.prefetch, deliver)
    this.acks = new Acks(() => {})
  }

  get doubtful(): boolean {
    return this.parts.vigil.doubtful
  }

  async start(): Promise<void> {
    await this.listen()
  }

  inFlight(topic: string): number {
    return [...this.open].filter((one) => one.topic === topic).length
  }

  *unsettled(): Iterable<readonly [string, number]> {}

  *waiting(): Iterable<readonly [string, number]> {}

  began(delivery: HandedOut, attempts: number): void {
    delivery.begun = Math.max(delivery.begun, attempts)
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  handOutOne(): boolean {
    const delivery = this.held.shift()
    if (delivery === undefined) return false
    this.window.enter()
    this.open.add(delivery)
    delivery.attempts = delivery.begun
    delivery.state = 'out'
    if (delivery.unreadable === undefined) this.window.run(delivery, this.settle)
    else this.settle(delivery, { deadLetter: undecodable(this.group, delivery.unreadable) })
    return this.held.length > 0
  }

  private async listen(): Promise<void> {
    const { topology, context } = this.parts
    const { names } = context
    this.topics = await topology.ensure([...new Set(this.spec.topics)])
    for (const topic of this.topics) await topology.makeGroupExchange(topic, this.group)
    const channel = await context.consuming.channel()
    if (this.stopping !== undefined) return await closed(channel)
    let why: unknown
    channel.on('error', (error) => {
      why = error
    })
    this.channel = channel
    this.acks = new Acks(() => {})
    this.acks.begin(channel)
    channel.on('close', () => this.lose(channel, why))
    await channel.prefetch(Math.min(this.spec.prefetch, 65_535))
    // A queue for each topic, so that each delivery's topic is known.
    for (const topic of this.topics) {
      const { queue } = await channel.assertQueue('', { exclusive: true, durable: false, autoDelete: true })
      for (const exchange of [topic.exchange, names.group(topic.name, this.group)])
        await channel.bindQueue(queue, exchange, '#')
      await channel.consume(queue, (received) => this.receive(channel, topic, received), { exclusive: true })
    }
  }

  private receive(channel: Channel, topic: Topic, received: ConsumeMessage | null): void {
    if (channel !== this.channel) return
    if (received === null) return void channel.close().catch(() => {})
    const { routingKey, deliveryTag } = received.fields
    const delivery = new HandedOut(this, topic.name, `${routingKey}@${deliveryTag}`, received)
    this.acks.delivered(delivery)
    this.line(delivery)
  }

  private line(delivery: HandedOut): void {
    if (this.stopping !== undefined) return
    delivery.state = 'held'
    this.held.push(delivery)
    this.window.want(this)
  }

  /** What it had in hand it goes on with; what its queues held is gone. */
  private lose(channel: Channel, why: unknown): void {
    if (this.channel !== channel || this.stopping !== undefined) return
    this.channel = undefined
    if (this.recovering !== undefined) return
    const fields = { group: this.group, ...(why === undefined ? {} : { err: explain(why, 'listen').message }) }
    this.parts.context.logger.warn(fields, 'a broadcast subscription was cut: it misses what is published meanwhile')
    this.recovering = this.recover().finally(() => {
      this.recovering = undefined
    })
  }

  private async recover(): Promise<void> {
    const { context } = this.parts
    for (let failures = 1; this.stopping === undefined; failures++) {
      try {
        await sleep(pauseAfter(failures))
        await context.consuming.ready()
        return await this.listen()
      } catch (error) {
        if (this.stopping !== undefined || context.consuming.isOver) return
        const fields = { group: this.group, err: String(error) }
        context.logger.error(fields, 'cannot subscribe again: trying again')
      }
    }
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if ('deadLetter' in verdict) {
      delivery.state = 'storing'
      void this.putAside(delivery, verdict.deadLetter)
      return
    }
    if ('release' in verdict) {
      this.after(RELEASE_PAUSE, delivery)
      return this.leave(delivery)
    }
    if ('redeliver' in verdict) this.again(delivery, verdict.redeliver)
    else this.done(delivery)
    this.leave(delivery)
  }

  private again(delivery: HandedOut, { after, attempts, firstFailedAt }: Redeliver): void {
    delivery.giveBack(Math.max(delivery.begun, attempts), firstFailedAt)
    this.after(after, delivery)
  }

  /** Never early: a timer may fire a moment before its time. */
  private after(ms: number, delivery: HandedOut): void {
    const due = Date.now() + ms
    const look = (): void => {
      const left = due - Date.now()
      if (left <= 0) return this.line(delivery)
      const timer = setTimeout(
        () => {
          this.timers.delete(timer)
          look()
        },
        Math.min(2 ** 31 - 1, left),
      )
      this.timers.add(timer)
    }
    look()
  }

  /** Unsettled until the letter is stored, however long that takes. */
  private async putAside(delivery: HandedOut, failure: Failure): Promise<void> {
    const { stores, context } = this.parts
    const { message, topic, position, redeliveries, begun } = delivery
    const attempts = Math.max(begun, failure.attempts)
    for (let failures = 1; this.open.has(delivery); failures++) {
      try {
        await stores.deadLetters.put({
          group: this.group,
          topic,
          position,
          message,
          failure: { ...failure, attempts },
          redeliveries,
        })
        break
      } catch (error) {
        const fields = { group: this.group, topic, err: String(error) }
        context.logger.error(fields, 'cannot store a dead letter: it stays unsettled and is tried again')
        await sleep(pauseAfter(failures))
      }
    }
    this.done(delivery)
    this.leave(delivery)
  }

  private done(delivery: HandedOut): void {
    delivery.state = 'done'
    this.acks.settled(delivery)
  }

  private leave(delivery: HandedOut): void {
    if (!this.open.delete(delivery)) return
    this.window.leave(1)
    this.quiet.check()
  }

  private async shutDown(): Promise<void> {
    this.window.handing = false
    await this.quiet.reached(undefined)
    for (const timer of this.timers) clearTimeout(timer)
    for (const delivery of this.open) {
      delivery.state = 'done'
      delivery.abort()
    }
    this.open.clear()
    this.acks.flush()
    const { channel } = this
    this.channel = undefined
    await closed(channel)
    this.onStopped(this)
  }
}

function undecodable(handler: string, { name, message }: Error): Failure {
  const now = Date.now()
  const failure = { reason: 'undecodable', error: { name, message }, handler, attempts: 0 } as const
  return { ...failure, firstFailedAt: now, lastFailedAt: now }
}
