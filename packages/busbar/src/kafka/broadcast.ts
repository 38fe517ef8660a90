import {
  type BrokerSubscription,
  type Deliver,
  type SubscriptionSpec,
  UnsupportedError,
  type Verdict,
} from '../broker/index.ts'
import { Quiet } from '../broker/quiet.ts'
import { Fifo } from '../broker/fifo.ts'
import { asideOf, messageOf } from './asides.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { KafkaContext } from './context.ts'
import { type DeliveryOwner, HandedOut, type Origin } from './delivery.ts'
import { reasonOf } from './errors.ts'
import { Fetcher, type Source } from './fetcher.ts'
import { LATEST, listOffsets } from './offsets.ts'
import type { LogRecord } from './records.ts'
import { undecodable } from './settling.ts'
import type { Topic } from './topology.ts'
import { foreign, fromWire } from './wire.ts'
import { Window } from './window.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20
/** Records read ahead of a partition at most, beside what one fetch brings. */
const AHEAD = 256

/**
 * A member that gets everything published from now on, for itself alone: it reads all partitions, of no consumer group.
 * Nothing of it is stored but its dead letters, and its redeliveries wait in memory.
 */
export class BroadcastMember implements BrokerSubscription, DeliveryOwner {
  readonly group: string
  readonly alive = true
  private readonly context: KafkaContext
  private readonly spec: SubscriptionSpec
  private readonly window: Window
  private readonly fetcher: Fetcher
  private readonly onStopped: (member: BroadcastMember) => void
  private readonly waiting = new Fifo<HandedOut>()
  private readonly unsettled = new Set<HandedOut>()
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly quiet = new Quiet(() => this.unsettled.size === 0)
  private readonly topics = new Map<string, Topic>()
  /** Topics of what is sent to it alone that are read, or are about to be. */
  private readonly returns = new Map<string, Promise<void>>()
  private stopping: Promise<void> | undefined

  constructor(
    context: KafkaContext,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: BroadcastMember) => void,
  ) {
    if (spec.onFailure === 'park') {
      throw new UnsupportedError(`broadcast subscription ${spec.group} cannot park failed keys`)
    }
    this.context = context
    this.spec = spec
    this.group = spec.group
    this.window = new Window(spec, deliver)
    this.fetcher = new Fetcher(context.cluster)
    this.onStopped = onStopped
  }

  async start(): Promise<void> {
    const topics = await this.context.topology.ensure([...new Set(this.spec.topics)])
    for (const topic of topics) this.topics.set(topic.name, topic)
    await Promise.all(topics.map((topic) => this.follow(topic)))
    const { cluster, names } = this.context
    const returns = await cluster.describe(topics.map(({ name }) => names.retry(this.group, name)))
    const there = new Set(returns.map(({ name }) => name))
    const some = topics.filter(({ name }) => there.has(names.retry(this.group, name)))
    await Promise.all(some.map((topic) => this.followReturns(topic)))
    setImmediate(() => this.window.begin())
  }

  inFlight(topic: string): number {
    return [...this.unsettled].filter((one) => one.topic === topic).length
  }

  async flush(): Promise<void> {}

  look(): void {}

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.window.handing = false
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  began(delivery: HandedOut, attempts: number): void {
    delivery.begun = Math.max(delivery.begun, attempts)
  }

  wake(): void {
    while (this.waiting.length > 0 && this.window.enter(this)) {
      const delivery = this.waiting.shift() as HandedOut
      this.unsettled.add(delivery)
      if (delivery.unreadable === undefined) this.window.handOut(delivery, this.settle)
      else {
        delivery.state = 'out'
        this.settle(delivery, undecodable(this.group, delivery.unreadable))
      }
    }
    if (this.waiting.length < AHEAD) this.fetcher.wake()
  }

  private async follow(topic: Topic): Promise<void> {
    const { waiting } = this
    const all = Array.from({ length: topic.partitions }, (_, partition) => partition)
    const ends = await listOffsets(this.context.cluster, topic.log, all, LATEST)
    for (const partition of all) {
      const source: Source = {
        topic: topic.log,
        partition,
        offset: ends.get(partition) ?? 0,
        get wanted() {
          return waiting.length < AHEAD
        },
        accept: (records) => {
          for (const record of records) waiting.push(this.read(topic, partition, record))
          this.wake()
        },
      }
      this.fetcher.add(source)
    }
  }

  /**
   * What is redriven, or sent to this name alone. The topic for it is made when there is a dead letter that could come back:
   * most broadcasts never have one.
   */
  private followReturns(topic: Topic): Promise<void> {
    const following = this.returns.get(topic.name) ?? this.openReturns(topic)
    this.returns.set(topic.name, following)
    following.catch(() => this.returns.delete(topic.name))
    return following
  }

  private async openReturns(topic: Topic): Promise<void> {
    const { cluster, topology, asides } = this.context
    const log = await topology.ensureRetries(this.group, topic)
    const all = Array.from({ length: topic.partitions }, (_, partition) => partition)
    const ends = await listOffsets(cluster, log, all, LATEST)
    for (const partition of all) {
      const source: Source = {
        topic: log,
        partition,
        offset: ends.get(partition) ?? 0,
        wanted: true,
        accept: (records) => {
          for (const record of records) {
            const aside = asideOf(record)?.aside
            if (aside === undefined) continue
            this.waiting.push(new HandedOut(messageOf(record), { topic: topic.name, partition, aside }, this))
            void asides.remove({ topic: log, partition }, aside.entry).catch(() => {})
          }
          this.wake()
        },
      }
      this.fetcher.add(source)
    }
  }

  private read({ name: topic }: Topic, partition: number, record: LogRecord): HandedOut {
    const from: Origin = { topic, partition, offset: record.offset }
    try {
      return new HandedOut(fromWire(record), from, this)
    } catch (error) {
      const message = foreign(topic, `${partition}@${record.offset}`, record)
      return new HandedOut(message, { ...from, unreadable: error as Error }, this)
    }
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if ('deadLetter' in verdict) {
      delivery.state = 'storing'
      void this.putAside(delivery, verdict)
      return
    }
    delivery.state = 'done'
    if ('release' in verdict) {
      const { begun: attempts, redeliveries, firstFailedAt } = delivery
      this.later(RELEASE_PAUSE, delivery, { attempts, redeliveries, firstFailedAt })
    } else if ('redeliver' in verdict) {
      const { after, attempts, firstFailedAt } = verdict.redeliver
      this.later(Math.max(0, after), delivery, {
        attempts: Math.max(delivery.begun, attempts),
        redeliveries: delivery.redeliveries + 1,
        firstFailedAt: delivery.firstFailedAt ?? firstFailedAt,
      })
    }
    this.settled(delivery)
  }

  private later(ms: number, { message, topic, partition, offset }: HandedOut, more: Partial<Origin>): void {
    const due = Date.now() + ms
    const again = new HandedOut(
      message,
      { topic, partition, ...(offset === undefined ? {} : { offset }), ...more },
      this,
    )
    const wait = (): void => {
      const go = (): void => {
        this.timers.delete(timer)
        // Timers may fire a little early.
        if (Date.now() < due) return wait()
        this.waiting.prepend([again])
        this.wake()
      }
      const timer = setTimeout(go, Math.min(Math.max(1, due - Date.now()), 2 ** 31 - 1))
      this.timers.add(timer)
    }
    wait()
  }

  /** Unsettled until the letter is stored, however long that takes. */
  private async putAside(
    delivery: HandedOut,
    { deadLetter: failure }: Extract<Verdict, { deadLetter: unknown }>,
  ): Promise<void> {
    const { topic, position, message, redeliveries, begun } = delivery
    for (let failures = 1; this.unsettled.has(delivery); failures++) {
      try {
        const from = this.topics.get(topic)
        if (from !== undefined) await this.followReturns(from)
        const told = { ...failure, attempts: Math.max(begun, failure.attempts) }
        await this.context.deadLetters.put({ group: this.group, topic, position, message, failure: told, redeliveries })
        break
      } catch (error) {
        const fields = { group: this.group, topic, err: reasonOf(error) }
        this.context.logger.error(fields, 'cannot store a dead letter: it stays unsettled and is tried again')
      }
      await sleep(pauseAfter(failures))
    }
    delivery.state = 'done'
    this.settled(delivery)
  }

  private settled(delivery: HandedOut): void {
    if (this.unsettled.delete(delivery)) this.window.leave(1)
    this.quiet.check()
  }

  private async shutDown(): Promise<void> {
    await this.quiet.reached(undefined)
    for (const timer of this.timers) clearTimeout(timer)
    for (const delivery of this.unsettled) {
      delivery.state = 'done'
      delivery.abort()
    }
    this.unsettled.clear()
    await this.fetcher.close()
    this.onStopped(this)
  }
}
