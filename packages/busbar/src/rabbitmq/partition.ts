import type { Channel, ConsumeMessage } from 'amqplib'
import type { Verdict } from '../broker/index.ts'
import { Acks } from './acks.ts'
import { atMost, pauseAfter, sleep } from './backoff.ts'
import { closed } from './channels.ts'
import type { RabbitContext } from './context.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import { Line, type LineHost } from './line.ts'
import { Marks } from './marks.ts'
import { storeVerdict, type Stores } from './settling.ts'
import type { Topic } from './topology.ts'
import type { Window } from './window.ts'

/** Milliseconds to store what is given back with nothing counted: queues may have to be made for it. */
const MOST_TO_LEAVE = 6_000

/** What a partition needs of its member. */
export interface PartitionHost {
  readonly context: RabbitContext
  readonly stores: Stores
  readonly group: string
  readonly window: Window
  /** Messages that the server may have handed to one partition and not seen settled. */
  readonly credit: number
  /** The process was too busy to show that it lives. */
  readonly doubtful: boolean
  /** Resolves when the server has shown that it still knows us. */
  sure(): Promise<void>
  /** Something settled. */
  settled(): void
  /** The partition is not ours any more, without our doing. */
  lost(partition: OwnedPartition, why: unknown): void
}

/**
 * One partition of a group, as one member has it, once. The queue has a single active consumer, so while this member's channel is open,
 * nobody else gets anything of it; what is in hand when the channel closes goes back to the head of the queue in its order. That is what
 * keeps order by key over processes, and why nothing is ever requeued here: a message that is requeued would come back behind
 * those that were handed out with it, at once and for ever.
 */
export class OwnedPartition implements LineHost, DeliveryOwner {
  readonly topic: Topic
  readonly n: number
  readonly window: Window
  readonly open = new Set<HandedOut>()
  private readonly host: PartitionHost
  private readonly queue: string
  private readonly marks: Marks
  private readonly acks: Acks
  private readonly line: Line = new Line(this)
  private channel: Channel | undefined
  private takingOver: Promise<void> | undefined
  /** What the owner before knew has been read. */
  private known = false
  private leaving = false
  private over = false
  private readonly ended = Promise.withResolvers<void>()
  private drained: PromiseWithResolvers<void> | undefined

  constructor(host: PartitionHost, topic: Topic, n: number) {
    const { names } = host.context
    this.host = host
    this.window = host.window
    this.topic = topic
    this.n = n
    this.acks = new Acks((count) => this.window.leave(count))
    this.queue = names.queue(topic.name, host.group, n)
    this.marks = new Marks(host.context, names.marks(topic.name, host.group, n), () => !this.over)
  }

  get doubtful(): boolean {
    return this.host.doubtful
  }

  /** Handed out and not settled. */
  get out(): number {
    return this.open.size - this.line.held.length
  }

  /** Consumes; waits behind whoever has the partition now. */
  async take(): Promise<void> {
    let channel: Channel | undefined
    try {
      channel = await this.host.context.consuming.channel()
      if (this.over) return await closed(channel)
      let why: Error | undefined
      channel.on('error', (error: Error) => {
        why = error
      })
      channel.on('close', () => this.lose(why))
      this.channel = channel
      this.acks.begin(channel)
      await channel.prefetch(this.host.credit)
      await channel.consume(this.queue, (received) => this.receive(received))
    } catch (error) {
      void closed(channel)
      this.lose(error)
    }
  }

  /** Hands out nothing more; resolves when all that was handed out is settled. */
  drain(): Promise<void> {
    this.leaving = true
    this.line.end()
    if (this.out === 0 || this.over) return Promise.resolve()
    this.drained ??= Promise.withResolvers()
    return this.drained.promise
  }

  /** Gives the partition back with what is in hand, which the next member gets in its order; what was not begun is not counted. */
  async leave(): Promise<void> {
    this.leaving = true
    this.line.end()
    if (this.over) return
    const { channel } = this
    this.acks.flush()
    // A connection that is lost meanwhile, or a server that does not answer, must not hold up a stop.
    await atMost(MOST_TO_LEAVE, Promise.race([this.remember(), this.ended.promise]))
    this.end()
    await closed(channel)
  }

  begin(delivery: HandedOut): Promise<void> {
    return this.marks.begin(delivery)
  }

  began(delivery: HandedOut, attempts: number): void | Promise<void> {
    if (delivery.state !== 'out' || this.over) return
    delivery.begun = Math.max(delivery.begun, attempts)
    return this.marks.begin(delivery)
  }

  handOut(delivery: HandedOut): void {
    this.window.enter()
    delivery.attempts = delivery.begun
    if (delivery.unreadable === undefined) return this.window.run(delivery, this.settle)
    const { name, message } = delivery.unreadable
    const now = Date.now()
    const failure = { reason: 'undecodable', error: { name, message }, handler: this.host.group, attempts: 0 } as const
    delivery.state = 'out'
    this.settle(delivery, { deadLetter: { ...failure, firstFailedAt: now, lastFailedAt: now } })
  }

  private async remember(): Promise<void> {
    try {
      await this.arrived()
      // Nothing ever came: it may be another's still, who must be told apart from us if it dies.
      if (this.takingOver === undefined) return
      await this.takingOver
      const cut = [...this.open].filter(({ state }) => state !== 'held')
      await this.marks.leave(this.line.held, cut)
    } catch (error) {
      this.host.context.logger.warn({ queue: this.queue, err: String(error) }, 'what was in hand counts as begun')
    }
  }

  /**
   * Resolves when all is in hand that the server has given us so far: the first answer comes from the queue, behind what it had handed
   * out, and the second behind what waited for its channel meanwhile.
   */
  private async arrived(): Promise<void> {
    for (let looks = 0; looks < 2 && !this.over; looks++) await this.channel?.checkQueue(this.queue)
  }

  private receive(received: ConsumeMessage | null): void {
    if (this.over) return
    if (received === null) {
      // The server cancels a consumer when its queue is deleted or its node goes down.
      const { channel } = this
      this.lose(new Error(`the server cancelled the consumer of queue ${this.queue}; was the queue deleted?`))
      return void channel?.close().catch(() => {})
    }
    const delivery = new HandedOut(this, this.topic.name, `${this.n}@${received.fields.deliveryTag}`, received)
    this.open.add(delivery)
    this.acks.delivered(delivery)
    // The first message says that the partition is ours.
    if (this.takingOver === undefined) this.takingOver = this.takeOver()
    else if (this.known && delivery.returned) this.marks.recall(delivery)
    this.line.add(delivery)
  }

  /** What the owner before knew is read before anything is handed out. */
  private async takeOver(): Promise<void> {
    for (let failures = 1; !this.over; failures++) {
      try {
        await this.marks.takeOver()
        break
      } catch (error) {
        this.host.context.logger.error(
          { queue: this.queue, err: String(error) },
          'cannot read begun runs: trying again',
        )
        await sleep(pauseAfter(failures))
      }
    }
    if (this.over) return
    this.known = true
    for (const delivery of this.line.held) if (delivery.returned) this.marks.recall(delivery)
    if (!this.leaving) this.line.begin()
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if (this.over || 'ack' in verdict) return this.finish(delivery)
    if ('release' in verdict) {
      this.line.putBack(delivery)
      this.window.leave(1)
      return this.quiet()
    }
    delivery.state = 'storing'
    void this.store(delivery, verdict)
  }

  /** Unsettled until it is stored, however long that takes; nothing is stored for a message that is not ours any more. */
  private async store(delivery: HandedOut, verdict: Verdict): Promise<void> {
    const { context, group, stores } = this.host
    for (let failures = 1; !this.over; failures++) {
      try {
        if (this.doubtful) await this.host.sure()
        if (this.over) break
        await storeVerdict(stores, { group, topic: this.topic, partition: this.n }, delivery, verdict)
        break
      } catch (error) {
        if (this.over) break
        const fields = { group, topic: this.topic.name, err: String(error) }
        context.logger.error(fields, 'cannot store what becomes of a message: it stays unsettled and is tried again')
        await sleep(pauseAfter(failures))
      }
    }
    this.finish(delivery)
  }

  private finish(delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    this.open.delete(delivery)
    this.marks.forget(delivery)
    if (this.over) this.window.leave(1)
    else this.acks.settled(delivery)
    this.quiet()
  }

  private quiet(): void {
    if (this.out === 0) this.drained?.resolve()
    this.host.settled()
  }

  private lose(why: unknown): void {
    if (this.over) return
    this.end()
    this.host.lost(this, why)
  }

  /** What is still out keeps its place in the window until its verdict comes, which changes nothing. */
  private end(): void {
    this.over = true
    this.line.end()
    for (const delivery of this.open) delivery.abort()
    for (const delivery of this.line.held.splice(0)) this.open.delete(delivery)
    this.drained?.resolve()
    this.ended.resolve()
  }
}
