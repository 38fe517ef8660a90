import { performance } from 'node:perf_hooks'
import type { Redis } from 'ioredis'
import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import { uuidv7 } from '../message/uuid.ts'
import { pauseAfter } from '../broker/backoff.ts'
import type { RedisContext } from './context.ts'
import { isUnsettled } from './delivery.ts'
import { Holdings } from './holdings.ts'
import type { OwnedPartition } from './partition.ts'
import { Pump } from './pump.ts'
import { Quiet } from '../broker/quiet.ts'
import { Window } from './window.ts'

/** Milliseconds after which what has settled is stored, where nothing more is fetched. */
const FLUSH_AFTER = 4
/** Milliseconds; longest sleep of a timer for something due, so that a clock that is moved by hand is followed. */
const LONGEST_SLEEP = 25

/**
 * One member of a group: owns a share of the partitions, hands out what is in their streams, and stores what becomes of it.
 * Whatever it does with the server it does in turns, one after another.
 */
export class GroupMember implements BrokerSubscription {
  readonly spec: SubscriptionSpec
  readonly group: string
  readonly id = uuidv7()
  readonly context: RedisContext
  readonly window: Window
  readonly holdings: Holdings

  private readonly pump: Pump
  private readonly onStopped: (member: GroupMember) => void
  private readonly quiet = new Quiet(() => !this.holdings.all().some((partition) => partition.busy))
  private turns: Promise<void> = Promise.resolve()
  /** Turns that are under way or wait for those before them. */
  private turning = 0
  /** The turn that is under way waits for nothing any more: it hands out what it has found. */
  private handingOut = false
  private readonly endSignals: (() => void)[] = []
  private beatDue = false
  private flushDue = false
  private scheduled = false
  private flushTimer: NodeJS.Timeout | undefined
  private dueTimer: NodeJS.Timeout | undefined
  private heartbeat: NodeJS.Timeout | undefined
  private failures = 0
  private retryAt = 0
  private stopping: Promise<void> | undefined
  private gone = false

  constructor(
    context: RedisContext,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: GroupMember) => void,
  ) {
    this.context = context
    this.spec = spec
    this.group = spec.group
    this.onStopped = onStopped
    this.window = new Window(spec, deliver, (partition, urgent) => this.settled(partition, urgent))
    this.holdings = new Holdings(this)
    this.pump = new Pump(this)
  }

  async start(): Promise<void> {
    const { topics, watcher, hearing, keys, lease } = this.context
    this.holdings.topics = await Promise.all(this.spec.topics.map((topic) => topics.ensure(topic)))
    for (const topic of this.holdings.topics) {
      await hearing.hear(`${keys.base(topic.name)}grew`, (n) => watcher.grew(keys.stream(topic.name, Number(n))))
      const end = await watcher.listen(`${keys.base(topic.name)}signal`, (fields) => {
        if (fields['group'] === this.group) this.changed()
      })
      this.endSignals.push(end)
    }
    await this.holdings.enter()
    await this.holdings.beat()
    // Not unref'd: a process that only consumes stays alive.
    this.heartbeat = setInterval(() => this.beatSoon(), Math.max(10, lease / 3))
  }

  /** Members, leases or set-aside messages of the group have changed. */
  changed(): void {
    for (const partition of this.holdings.all()) partition.nextDue = partition.nextSuspect = 0
    this.beatSoon()
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: string): number {
    let count = 0
    for (const partition of this.holdings.all()) {
      if (partition.topic.name === topic) for (const one of partition.all()) if (isUnsettled(one)) count++
    }
    return count
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    this.flushDue = true
    await this.attempt()
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  again(pause: number): void {
    setTimeout(() => this.wake(), pause + 1)
  }

  /** Asks for a turn soon. Many calls, one turn. `now`: there is nothing to wait for, such as further verdicts. */
  wake(when?: 'now'): void {
    if (this.scheduled || this.gone) return
    this.scheduled = true
    const turn = (): void => {
      this.scheduled = false
      if (performance.now() >= this.retryAt) void this.attempt()
    }
    if (when === 'now') queueMicrotask(turn)
    else setImmediate(turn)
  }

  private settled(partition: OwnedPartition, urgent: boolean): void {
    const { window, pump } = this
    if (urgent || partition.draining || (window.wantsMore && (this.scheduled || pump.hasWork))) this.wake()
    else this.flushSoon()
    this.quiet.check()
  }

  private beatSoon(): void {
    this.beatDue = true
    this.wake()
  }

  private async work(): Promise<void> {
    if (this.beatDue) {
      this.beatDue = false
      await this.holdings.beat()
    }
    const flush = this.flushDue
    this.flushDue = false
    await this.pump.turn(flush)
    await this.turned()
  }

  private async turned(): Promise<void> {
    await this.holdings.releaseDrained()
    const { hasWork } = this.pump
    if (hasWork && this.window.wantsMore) return this.wake()
    this.handingOut = true
    this.pump.handOutTaken()
    if (hasWork && this.window.wantsMore) this.wake()
    else if (this.pump.isDirty || (hasWork && this.window.used > 0 && this.window.room > 0)) this.flushSoon()
    this.sleepUntilDue()
    this.quiet.check()
  }

  private flushSoon(): void {
    if (this.gone) return
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined
      this.flushDue = true
      this.wake()
    }, FLUSH_AFTER)
  }

  private sleepUntilDue(): void {
    if (this.gone || this.dueTimer !== undefined || !this.window.handing) return
    let next = Infinity
    const now = this.context.now()
    for (const { nextDue, nextSuspect, backlog } of this.holdings.all()) {
      // A suspect that waits for another one, perhaps of another group.
      const waits = nextSuspect <= now || backlog[0]?.suspect === true
      next = Math.min(next, nextDue, waits ? now + LONGEST_SLEEP : nextSuspect)
    }
    if (next === Infinity) return
    const pause = Math.min(LONGEST_SLEEP, Math.max(1, next - now))
    this.dueTimer = setTimeout(() => {
      this.dueTimer = undefined
      if (this.pump.hasWork) this.wake()
      else this.sleepUntilDue()
    }, pause)
  }

  /** A turn in the background: what fails is told to the logger and tried again later. */
  private attempt(): Promise<void> {
    if (this.gone) return Promise.resolve()
    this.turning++
    this.turns = this.concluded(this.turns.then(() => this.work()))
    return this.turns
  }

  readBehind(partition: OwnedPartition, redis: Redis): boolean {
    // What a handler publishes comes while the turn that handed out to it is not over.
    const free = this.turning === 0 || (this.turning === 1 && this.handingOut)
    if (!free || this.gone || performance.now() < this.retryAt) return false
    if (!this.pump.mayReadBehind(partition)) return false
    this.turning++
    this.turns = this.concluded(this.pump.readBehind(partition, redis).then(() => this.turned()))
    return true
  }

  private concluded(turn: Promise<void>): Promise<void> {
    return turn.then(
      () => {
        this.over()
        this.failures = 0
      },
      (error: unknown) => {
        this.over()
        this.failed(error)
      },
    )
  }

  private over(): void {
    this.turning--
    this.handingOut = false
  }

  private failed(error: unknown): void {
    if (this.gone) return
    this.pump.handOutTaken()
    const pause = pauseAfter(++this.failures)
    this.retryAt = performance.now() + pause
    this.beatDue = this.flushDue = true
    this.again(pause)
    const fields = { group: this.group, topics: this.spec.topics, failures: this.failures, err: String(error) }
    this.context.logger.error(fields, 'cannot read from or write to Redis: trying again')
  }

  private async shutDown(): Promise<void> {
    this.window.handing = false
    await this.quiet.reached(undefined)
    clearInterval(this.heartbeat)
    for (const end of this.endSignals.splice(0)) end()
    try {
      // A server that is away cannot be told: what it remembers runs out by itself.
      if (this.context.redis.status !== 'ready') throw new Error('the server is away')
      await this.flush()
      await this.holdings.giveUp()
    } catch (error) {
      const fields = { group: this.group, err: String(error) }
      this.context.logger.error(fields, 'cannot release the partitions: others take them when the lease is over')
      this.holdings.loseAll()
    }
    this.gone = true
    clearTimeout(this.flushTimer)
    clearTimeout(this.dueTimer)
    this.onStopped(this)
  }
}
