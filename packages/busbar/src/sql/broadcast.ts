import { performance } from 'node:perf_hooks'
import {
  type BrokerSubscription,
  type Deliver,
  type Failure,
  isLater,
  type SubscriptionSpec,
  UnsupportedError,
  type Verdict,
  whenSettled,
} from '../broker/index.ts'
import { pauseAfter, pauseWhileHeld } from './backoff.ts'
import type { Next, Wanted } from './batched.ts'
import { putBroadcastLetter, takeRedriven } from './broadcast-letters.ts'
import type { SqlContext } from './context.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import type { Position } from './dialect.ts'
import type { Values } from './executor.ts'
import { Lock } from './lock.ts'
import { Quiet } from '../broker/quiet.ts'
import { bodySize, messageAt } from './rows.ts'
import { asideOf } from './set-aside.ts'
import type { Topic } from './topics.ts'

/** Bytes of bodies read in one fetch, about. */
const FETCH_BYTES = 8 * 1024 * 1024
/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** How far a member has read one partition. Only in memory. */
class Reader implements DeliveryOwner {
  /** What nobody shares, nobody can lose. */
  readonly lapsed = false
  readonly isReturning = (): boolean => false
  readonly topic: Topic
  readonly partition: number
  position: Position
  more = false

  constructor(topic: Topic, partition: number, position: Position) {
    this.topic = topic
    this.partition = partition
    this.position = position
  }

  place(delivery: HandedOut): string {
    return `${this.partition}@${String(delivery.origin)}`
  }

  began(delivery: HandedOut, attempts: number): void {
    delivery.begun = Math.max(delivery.begun, attempts)
  }
}

/**
 * A member that gets everything published from now on, for itself alone. Nothing of it is stored but its dead letters:
 * it has no lease and no cursor, and its redeliveries wait in memory.
 */
export class BroadcastMember implements BrokerSubscription {
  readonly group: string

  private readonly context: SqlContext
  private readonly spec: SubscriptionSpec
  private readonly deliver: Deliver
  private readonly onStopped: (member: BroadcastMember) => void
  private readonly turns = new Lock()
  private readonly readers = new Map<string, Reader>()
  private readonly unsettled = new Set<HandedOut>()
  /** Given back by their handler, with the time (of the broker's clock) at which they come again. */
  private readonly later = new Map<HandedOut, number>()
  private topics: readonly Topic[] = []
  private scheduled = false
  private lookAgain = false
  private retryAt = 0
  private failures = 0
  /** Looks in a row that found only what cannot be read yet. */
  private waits = 0
  private stopping: Promise<void> | undefined
  private handing = true
  private readonly quiet = new Quiet(() => this.unsettled.size === 0)

  constructor(
    context: SqlContext,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: BroadcastMember) => void,
  ) {
    if (spec.onFailure === 'park') {
      throw new UnsupportedError(`broadcast subscription ${spec.group} cannot park failed keys: use a group`)
    }
    this.context = context
    this.group = spec.group
    this.spec = spec
    this.deliver = deliver
    this.onStopped = onStopped
  }

  async start(): Promise<void> {
    const { dialect, executor } = this.context
    this.topics = await this.context.topics.ensure(this.spec.topics)
    const head = await dialect.head(executor)
    for (const topic of this.topics) {
      for (let partition = 0; partition < topic.partitions; partition++) {
        this.readers.set(`${topic.id}/${partition}`, new Reader(topic, partition, head))
      }
    }
    this.changed()
  }

  tick(changedElsewhere: boolean): void {
    if (changedElsewhere) this.lookAgain = true
    if (this.lookAgain || this.nextDue() <= this.context.now()) this.wake()
  }

  /** Unix milliseconds. */
  nextDue(): number {
    let next = Infinity
    for (const due of this.later.values()) next = Math.min(next, due)
    return next
  }

  grew(topic: number, partition: number): void {
    const reader = this.readers.get(`${topic}/${partition}`)
    if (reader === undefined) return
    reader.more = true
    this.wake()
  }

  changed(): void {
    this.lookAgain = true
    this.wake()
  }

  inFlight(topic: number): number {
    return [...this.unsettled].filter((one) => (one.owner as Reader).topic.id === topic).length
  }

  async flush(): Promise<void> {}

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  private wake(): void {
    if (this.scheduled || !this.handing) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      if (performance.now() >= this.retryAt) void this.attempt()
    })
  }

  private async attempt(): Promise<void> {
    await this.turns.acquire()
    try {
      await this.work()
      this.failures = 0
    } catch (error) {
      const pause = pauseAfter(++this.failures)
      this.retryAt = performance.now() + pause
      setTimeout(() => this.wake(), pause)
      this.context.logger.error(
        { group: this.group, err: String(error) },
        'cannot read from the database: trying again',
      )
    } finally {
      this.turns.release()
    }
  }

  private async work(): Promise<void> {
    if (!this.handing) return
    if (this.lookAgain) {
      this.lookAgain = false
      for (const reader of this.readers.values()) reader.more = true
      await this.takeRedriven()
    }
    this.takeLater()
    const reading = [...this.readers.values()].filter((reader) => reader.more)
    if (reading.length > 0 && this.room > 0) await this.read(reading)
  }

  private get room(): number {
    return this.spec.prefetch - this.unsettled.size
  }

  private async read(reading: readonly Reader[]): Promise<void> {
    const { dialect, executor } = this.context
    const limit = Math.ceil(this.room / reading.length)
    const wanted: Wanted[] = []
    let left = this.room
    for (const { topic, partition, position } of reading) {
      wanted.push({ topic: topic.id, partition, position, limit: Math.min(limit, left) })
      left -= Math.min(limit, left)
    }
    // Lowered before the read: what is published from here on raises it again.
    for (const reader of reading) reader.more = false
    let bytes = FETCH_BYTES
    const enough = (row: Values): boolean => (bytes -= bodySize(row, 1)) <= 0
    const found = await dialect.readNext(executor, wanted, enough, FETCH_BYTES).catch((error: unknown) => {
      for (const reader of reading) reader.more = true
      throw error
    })
    for (const [index, reader] of reading.entries()) this.take(reader, found[index])
    this.heldBack(found)
  }

  private take(reader: Reader, next: Next | undefined): void {
    if (next === undefined) return
    reader.position = next.rows.at(-1)?.[0] ?? reader.position
    reader.more ||= next.more || next.held
    for (const row of next.rows) {
      this.handOut(new HandedOut(reader, messageAt(row, 1), reader.topic.name, { position: row[0] ?? null }))
    }
  }

  /** What cannot be read yet is asked for again, less and less often while nothing comes. */
  private heldBack(found: readonly Next[]): void {
    if (found.some(({ rows }) => rows.length > 0)) this.waits = 0
    if (found.some(({ more }) => more) && this.room > 0) this.wake()
    else if (found.some(({ held }) => held)) setTimeout(() => this.wake(), pauseWhileHeld(this.waits++))
  }

  private takeLater(): void {
    const now = this.context.now()
    for (const [delivery, due] of this.later) {
      if (due > now || this.room <= 0) continue
      this.later.delete(delivery)
      this.handOut(delivery)
    }
  }

  /** Its letters that were redriven. */
  private async takeRedriven(): Promise<void> {
    const [reader] = this.readers.values()
    for (const topic of this.topics) {
      const { room } = this
      const rows = room > 0 ? await takeRedriven(this.context, this.group, topic, room) : []
      for (const row of rows) {
        const { message, place } = asideOf(row)
        if (reader !== undefined) this.handOut(new HandedOut(reader, message, topic.name, { position: null, place }))
      }
      // There may be more of them, or there was no room: looked at again when there is.
      if (rows.length > 0 || room <= 0) this.lookAgain = true
    }
  }

  private handOut(delivery: HandedOut): void {
    if (!this.handing) return
    this.unsettled.add(delivery)
    delivery.state = 'out'
    delivery.attempts = delivery.begun
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return this.settle(delivery, verdict)
    whenSettled(verdict, { settled: (settled) => this.settle(delivery, settled) })
  }

  private settle(delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out') return
    if ('deadLetter' in verdict) {
      delivery.state = 'storing'
      void this.putAside(delivery, verdict.deadLetter)
      return
    }
    delivery.state = 'done'
    if ('redeliver' in verdict) this.comeAgain(delivery, verdict.redeliver)
    else if ('release' in verdict) setTimeout(() => this.handOut(delivery), RELEASE_PAUSE)
    this.settled(delivery)
  }

  private comeAgain(
    delivery: HandedOut,
    redeliver: { readonly after: number; readonly attempts: number; readonly firstFailedAt: number },
  ): void {
    const again = new HandedOut(delivery.owner, delivery.message, delivery.topic, {
      position: delivery.origin,
      attempts: Math.max(delivery.begun, redeliver.attempts),
      redeliveries: delivery.redeliveries + 1,
      firstFailedAt: delivery.firstFailedAt ?? redeliver.firstFailedAt,
    })
    this.later.set(again, this.context.now() + Math.max(0, redeliver.after))
  }

  /** Unsettled until the letter is stored, however long that takes. */
  private async putAside(delivery: HandedOut, failure: Failure): Promise<void> {
    const { topic } = delivery.owner as Reader
    for (let failures = 1; this.unsettled.has(delivery); failures++) {
      try {
        await putBroadcastLetter(this.context, this.group, topic, delivery, failure)
        break
      } catch (error) {
        const fields = { group: this.group, topic: topic.name, err: String(error) }
        this.context.logger.error(fields, 'cannot store a dead letter: it stays unsettled and is tried again')
      }
      await new Promise((resolve) => setTimeout(resolve, pauseAfter(failures)))
    }
    delivery.state = 'done'
    this.settled(delivery)
  }

  private settled(delivery: HandedOut): void {
    this.unsettled.delete(delivery)
    this.quiet.check()
    this.wake()
  }

  private async shutDown(): Promise<void> {
    this.handing = false
    await this.quiet.reached(undefined)
    for (const delivery of this.unsettled) {
      delivery.state = 'done'
      delivery.abort()
    }
    this.unsettled.clear()
    this.later.clear()
    this.onStopped(this)
  }
}
