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
import { asideOf } from './aside.ts'
import { pauseAfter } from '../broker/backoff.ts'
import { list, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import { BROADCAST, putAside } from './letters.ts'
import { Quiet } from '../broker/quiet.ts'
import type { Topic } from './topology.ts'
import { fromFields } from './wire.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** How far a member has read one partition. Only in memory. */
interface Reader {
  readonly topic: Topic
  readonly n: number
  readonly stream: string
  last: string
  more: boolean
}

const owner: DeliveryOwner = {
  lapsed: false,
  began(delivery, attempts) {
    delivery.begun = Math.max(delivery.begun, attempts)
  },
}

/**
 * A member that gets everything published from now on, for itself alone: it reads the streams from the ids that they had when it
 * subscribed, with no group. Nothing of it is stored but its dead letters, and its redeliveries wait in memory.
 */
export class BroadcastMember implements BrokerSubscription {
  readonly group: string

  private readonly context: RedisContext
  private readonly spec: SubscriptionSpec
  private readonly deliver: Deliver
  private readonly onStopped: (member: BroadcastMember) => void
  private readonly readers: Reader[] = []
  private topics: readonly Topic[] = []
  private readonly unsettled = new Set<HandedOut>()
  /** Given back by their handler, with their timers. */
  private readonly later = new Map<HandedOut, NodeJS.Timeout>()
  private readonly endSignals: (() => void)[] = []
  private turns: Promise<void> = Promise.resolve()
  private scheduled = false
  private redriven = true
  private failures = 0
  private handing = true
  private stopping: Promise<void> | undefined
  private alive: NodeJS.Timeout | undefined
  private readonly quiet = new Quiet(() => this.unsettled.size === 0)

  constructor(
    context: RedisContext,
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
    const { topics, keys, watcher, hearing, redis } = this.context
    this.topics = await Promise.all(this.spec.topics.map((topic) => topics.ensure(topic)))
    for (const topic of this.topics) {
      await hearing.hear(`${keys.base(topic.name)}grew`, (n) => watcher.grew(keys.stream(topic.name, Number(n))))
      const end = await watcher.listen(`${keys.base(topic.name)}signal`, (fields) => {
        if (fields['group'] === this.group) this.redriven = true
        this.wake()
      })
      this.endSignals.push(end)
      for (let n = 0; n < topic.partitions; n++) {
        this.readers.push({ topic, n, stream: keys.stream(topic.name, n), last: '0-0', more: false })
      }
    }
    await Promise.all(
      this.readers.map(async (reader) => {
        const [newest] = await redis.xrevrange(reader.stream, '+', '-', 'COUNT', 1)
        reader.last = newest?.[0] ?? '0-0'
      }),
    )
    for (const reader of this.readers) this.watch(reader)
    // A process that only listens stays alive.
    this.alive = setInterval(() => {}, 60_000)
    this.wake()
  }

  inFlight(topic: string): number {
    return [...this.unsettled].filter((one) => one.topic === topic).length
  }

  async flush(): Promise<void> {}

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  private get room(): number {
    return this.spec.prefetch - this.unsettled.size
  }

  private watch(reader: Reader): void {
    this.context.watcher.watch(reader.stream, reader, reader.last, () => {
      reader.more = true
      this.wake()
    })
  }

  private wake(): void {
    if (this.scheduled || !this.handing) return
    this.scheduled = true
    this.turns = this.turns.then(async () => {
      this.scheduled = false
      try {
        await this.work()
        this.failures = 0
      } catch (error) {
        if (!this.handing) return
        const fields = { group: this.group, err: String(error) }
        this.context.logger.error(fields, 'cannot read from Redis: trying again')
        for (const reader of this.readers) reader.more = true
        setTimeout(() => this.wake(), pauseAfter(++this.failures))
      }
    })
  }

  private async work(): Promise<void> {
    if (this.redriven && this.room > 0) await this.takeRedriven()
    const ready = this.readers.filter((reader) => reader.more)
    if (ready.length === 0 || this.room <= 0) return
    const each = Math.ceil(this.room / ready.length)
    const reading = ready.slice(0, this.room)
    let { room } = this
    await Promise.all(
      reading.map((reader) => {
        const limit = Math.min(each, room)
        room -= limit
        return limit > 0 ? this.read(reader, limit) : Promise.resolve()
      }),
    )
    // Another one first next time.
    this.readers.push(...this.readers.splice(0, 1))
    if (this.readers.some((reader) => reader.more) && this.room > 0) this.wake()
  }

  private async read(reader: Reader, limit: number): Promise<void> {
    const { topic, n, stream } = reader
    const reply = await this.context.redis.xrangeBuffer(stream, `(${reader.last}`, '+', 'COUNT', limit)
    const entries = list(reply)
    reader.more = entries.length >= limit
    for (const entry of entries) {
      const [name, fields] = list(entry)
      const id = (reader.last = text(name))
      const place = `${n}@${id}`
      const { message, error } = fromFields(list(fields) as readonly Buffer[], place)
      this.handOut(new HandedOut(owner, message, topic.name, { id, place, unreadable: error }))
    }
    if (!reader.more && this.handing) this.watch(reader)
  }

  /** Its letters that were redriven. */
  private async takeRedriven(): Promise<void> {
    this.redriven = false
    for (const topic of this.topics) {
      const { room } = this
      const { keys, redis } = this.context
      const args = [keys.group(topic.name, this.group), keys.base(topic.name), this.context.now(), room]
      const taken = room > 0 ? list(await run(redis, 'busbarTakeRedriven', args)) : []
      for (const one of taken) this.handOut(asideOf(one, owner, topic.name))
      // There may be more of them, or there was no room.
      if (taken.length >= room) this.redriven = true
    }
  }

  private handOut(delivery: HandedOut): void {
    if (!this.handing) return
    this.unsettled.add(delivery)
    delivery.state = 'out'
    delivery.attempts = delivery.begun
    if (delivery.unreadable !== undefined)
      return void this.putAside(delivery, undecodable(this.group, delivery.unreadable))
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return this.settle(delivery, verdict)
    whenSettled(verdict, { settled: (settled) => this.settle(delivery, settled) })
  }

  private settle(delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out') return
    if ('deadLetter' in verdict) return void this.putAside(delivery, verdict.deadLetter)
    delivery.state = 'done'
    if ('redeliver' in verdict) this.comeAgain(delivery, verdict.redeliver)
    else if ('release' in verdict) setTimeout(() => this.handOut(delivery), RELEASE_PAUSE)
    this.settled(delivery)
  }

  private comeAgain(
    delivery: HandedOut,
    to: { readonly after: number; readonly attempts: number; readonly firstFailedAt: number },
  ): void {
    const again = new HandedOut(owner, delivery.message, delivery.topic, {
      id: delivery.id,
      place: delivery.position,
      attempts: Math.max(delivery.begun, to.attempts),
      redeliveries: delivery.redeliveries + 1,
      firstFailedAt: delivery.firstFailedAt ?? to.firstFailedAt,
    })
    const due = this.context.now() + Math.max(0, to.after)
    const look = (): void => {
      const left = due - this.context.now()
      if (left <= 0 && this.room > 0) {
        this.later.delete(again)
        this.handOut(again)
      } else this.later.set(again, setTimeout(look, Math.min(25, Math.max(1, left))))
    }
    this.later.set(again, setTimeout(look, Math.min(25, Math.max(0, to.after))))
  }

  /** Unsettled until the letter is stored, however long that takes. */
  private async putAside(delivery: HandedOut, failure: Failure): Promise<void> {
    delivery.state = 'storing'
    const { message, topic, position: place, redeliveries } = delivery
    const attempts = Math.max(delivery.begun, failure.attempts)
    const of = { group: this.group, topic, partition: BROADCAST, message, place, redeliveries }
    for (let failures = 1; this.unsettled.has(delivery); failures++) {
      try {
        await putAside(this.context, { ...of, state: 'dead', dueAt: 0, failure: { ...failure, attempts } })
        break
      } catch (error) {
        const fields = { group: this.group, topic, err: String(error) }
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
    for (const reader of this.readers) this.context.watcher.unwatch(reader.stream, reader)
    await this.quiet.reached(undefined)
    clearInterval(this.alive)
    for (const end of this.endSignals.splice(0)) end()
    for (const timer of this.later.values()) clearTimeout(timer)
    for (const delivery of this.unsettled) {
      delivery.state = 'done'
      delivery.abort()
    }
    this.unsettled.clear()
    this.onStopped(this)
  }
}

function undecodable(handler: string, { name, message }: Error): Failure {
  const now = Date.now()
  const failure = { reason: 'undecodable', error: { name, message }, handler, attempts: 0 } as const
  return { ...failure, firstFailedAt: now, lastFailedAt: now }
}
