import { performance } from 'node:perf_hooks'
import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import { uuidv7 } from '../message/uuid.ts'
import { pauseAfter } from './backoff.ts'
import type { ReadBehind, SqlContext } from './context.ts'
import { Holdings } from './holdings.ts'
import { createCursors, lockCursors, newTopics } from './leases.ts'
import { Lock } from './lock.ts'
import { enter } from './membership.ts'
import type { OwnedPartition } from './partition.ts'
import { Pump } from './pump.ts'
import { Quiet } from '../broker/quiet.ts'
import { countUnsettled, Window } from './window.ts'
import { unentangled } from './unentangled.ts'

/** Milliseconds after which what has settled is stored, where nothing more is fetched. */
const FLUSH_AFTER = 4
/** Milliseconds between two looks at who else is in the group, while the database changes. */
const BALANCE_EVERY = 100

/**
 * One member of a group: owns a share of the partitions, reads their logs, hands out, and stores what becomes of it.
 * Whatever it does with the database it does in turns, one after another.
 */
export class GroupMember implements BrokerSubscription {
  readonly spec: SubscriptionSpec
  readonly group: string
  readonly id = uuidv7()
  readonly context: SqlContext
  readonly window: Window

  private readonly holdings: Holdings
  private readonly pump: Pump
  private readonly onStopped: (member: GroupMember) => void
  private readonly turns = new Lock()
  private readonly quiet = new Quiet(() => !this.holdings.all().some((partition) => partition.busy))
  private lookAgain = false
  private balanceAgain = false
  private balancedAt = 0
  private scheduled = false
  private flushDue = false
  private flushTimer: NodeJS.Timeout | undefined
  private heartbeat: NodeJS.Timeout | undefined
  private failures = 0
  private retryAt = 0
  private stopping: Promise<void> | undefined
  private gone = false

  constructor(context: SqlContext, spec: SubscriptionSpec, deliver: Deliver, onStopped: (member: GroupMember) => void) {
    this.context = context
    this.spec = spec
    this.group = spec.group
    this.onStopped = onStopped
    this.window = new Window(spec, deliver, { settled: (partition, urgent) => this.settled(partition, urgent) })
    this.holdings = new Holdings(this)
    this.pump = new Pump(this, spec.onFailure === 'park')
  }

  async start(): Promise<void> {
    const { executor, dialect, lease, topics } = this.context
    this.holdings.topics = await topics.ensure(this.spec.topics)
    const unread = await executor.read((sql) => newTopics(sql, this.group, this.holdings.topics))
    const latest = unread.length > 0 && this.spec.from === 'latest'
    const begin = latest ? await dialect.head(executor) : dialect.start
    await unentangled(executor, async (sql) => {
      await lockCursors(sql, dialect, this.group)
      for (const topic of unread) await createCursors(sql, this.group, topic, begin)
      await enter(sql, this.group, this.holdings.topics, this.id, Date.now() + lease)
    })
    await this.turn(() => this.balance())
    // Not unref'd: a process that only consumes stays alive, as it would with a connection to a server.
    this.heartbeat = setInterval(() => void this.attempt(() => this.beat()), Math.max(10, lease / 3))
    this.context.groupChanged(this.group)
  }

  /** Called often: a cheap look at whether there is something to do. */
  tick(changedElsewhere: boolean): void {
    if (this.gone) return
    if (changedElsewhere) this.lookAgain = this.balanceAgain = true
    if (this.lookAgain || this.balanceAgain || this.pump.hasWork) this.wake()
  }

  /** When the next message that is set aside comes due, in Unix milliseconds. */
  nextDue(): number {
    let next = Infinity
    for (const { nextDue, nextSuspect } of this.holdings.all()) next = Math.min(next, nextDue, nextSuspect)
    return next
  }

  /** An append to a partition is on its way: reads behind it, by a turn of its own, if there is nothing else to do. */
  growing(topic: number, partition: number): ReadBehind | undefined {
    const owned = this.holdings.get(topic, partition)
    if (owned === undefined || this.gone || this.failures > 0 || !this.pump.mayFetchBehind(owned)) return undefined
    if (!this.turns.tryAcquire()) return undefined
    const behind = { member: this, inVain: false }
    void this.tried(this.inTurn(() => this.fetchBehind(owned, behind)))
    return behind
  }

  /** The log of a partition has grown. */
  grew(topic: number, partition: number): void {
    const owned = this.holdings.get(topic, partition)
    if (owned === undefined) return
    owned.more = true
    this.wake()
  }

  /** Members, leases or set-aside messages of the group have changed. */
  changed(): void {
    this.lookAgain = this.balanceAgain = true
    this.balancedAt = 0
    this.wake()
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: number): number {
    let count = 0
    for (const partition of this.holdings.all()) if (partition.topic.id === topic) count += countUnsettled(partition)
    return count
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    this.flushDue = true
    await this.attempt(() => this.work())
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  owned(): readonly OwnedPartition[] {
    return this.holdings.all()
  }

  lost(partition: OwnedPartition): void {
    this.holdings.lose(partition)
    this.balanceAgain = true
  }

  storing(): void {
    clearTimeout(this.flushTimer)
    this.flushTimer = undefined
  }

  again(pause: number): void {
    if (pause <= 0) this.wake()
    else setTimeout(() => this.wake(), pause)
  }

  /** Asks for a turn soon. Many calls, one turn. */
  wake(): void {
    if (this.scheduled || this.gone) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      if (performance.now() >= this.retryAt) void this.attempt(() => this.work())
    })
  }

  private async work(): Promise<void> {
    if (this.balanceAgain && performance.now() >= this.balancedAt + BALANCE_EVERY) await this.balance()
    if (this.lookAgain) {
      this.lookAgain = false
      await this.holdings.look()
    }
    const flush = this.flushDue
    this.flushDue = false
    await this.pump.turn(flush)
    await this.turned()
  }

  private async fetchBehind(partition: OwnedPartition, behind: ReadBehind): Promise<void> {
    await this.pump.fetchBehind(partition, behind)
    await this.turned()
  }

  private async turned(): Promise<void> {
    await this.holdings.releaseDrained()
    const { hasWork } = this.pump
    if (hasWork && this.window.wantsMore && !this.pump.areEmptying) this.wake()
    else if (this.pump.isDirty || (hasWork && this.window.used > 0 && this.window.room > 0)) this.flushSoon()
    this.quiet.check()
  }

  private async balance(): Promise<void> {
    this.balanceAgain = false
    this.balancedAt = performance.now()
    if (this.window.handing) await this.holdings.balance()
  }

  private async beat(): Promise<void> {
    await this.holdings.beat()
    await this.balance()
    this.wake()
  }

  private settled(partition: OwnedPartition, urgent: boolean): void {
    const { window, pump } = this
    if (urgent || partition.draining || (window.wantsMore && (this.scheduled || pump.hasWork))) this.wake()
    else this.flushSoon()
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

  private async turn(work: () => Promise<void>): Promise<void> {
    await this.turns.acquire()
    await this.inTurn(work)
  }

  /** Hands out what was found when it is over: so what a handler publishes may be read behind its append. */
  private async inTurn(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } finally {
      this.turns.release()
      this.pump.handOut()
    }
  }

  /** A turn in the background. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    if (!this.gone) await this.tried(this.turn(work))
  }

  /** What fails is told to the logger and tried again later. */
  private async tried(turn: Promise<void>): Promise<void> {
    try {
      await turn
      this.failures = 0
    } catch (error) {
      if (this.gone) return
      const pause = pauseAfter(++this.failures)
      this.retryAt = performance.now() + pause
      this.lookAgain = this.balanceAgain = this.flushDue = true
      this.again(pause)
      const fields = { group: this.group, topics: this.spec.topics, failures: this.failures, err: String(error) }
      this.context.logger.error(fields, 'cannot read from or write to the database: trying again')
    }
  }

  private async shutDown(): Promise<void> {
    this.window.handing = false
    await this.quiet.reached(undefined)
    clearInterval(this.heartbeat)
    try {
      await this.turn(() => this.holdings.giveUp())
    } catch (error) {
      const fields = { group: this.group, err: String(error) }
      this.context.logger.error(fields, 'cannot release the partitions: others take them when the lease is over')
      this.holdings.loseAll()
    }
    this.gone = true
    clearTimeout(this.flushTimer)
    this.onStopped(this)
    this.context.groupChanged(this.group)
  }
}
