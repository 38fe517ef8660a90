import { performance } from 'node:perf_hooks'
import type { BrokerSubscription, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { uuidv7 } from '../message/uuid.ts'
import { advance, type Advanced, type Budget } from './advance.ts'
import type { SqlContext } from './context.ts'
import type { HandedOut } from './delivery.ts'
import { claim, createCursors, freePartitions, release, renew } from './leases.ts'
import { Lock } from './lock.ts'
import { bury, enter, leave, share } from './membership.ts'
import { OwnedPartition, type Settlement, type ToStore } from './partition.ts'
import { blockedLanes, countAttempts, nextDue } from './set-aside.ts'
import { store } from './store.ts'
import type { Topic } from './topics.ts'

/** Milliseconds after which what has settled is stored, where nothing more is fetched. */
const FLUSH_AFTER = 4
/** Milliseconds that a suspect runs alone; a longer run does not hold up the others. */
const SUSPECT_ALONE = 1_000
/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20
/** Bytes of bodies read in one fetch, about. */
const FETCH_BYTES = 8 * 1024 * 1024
/** Milliseconds between two looks at who else is in the group, when the database changes. */
const BALANCE_EVERY = 100

/**
 * One member of a group: owns a share of the partitions, reads their logs, hands out, and stores what becomes of it.
 * Whatever it does with the database it does in turns, one after another.
 */
export class GroupMember implements BrokerSubscription {
  readonly spec: SubscriptionSpec
  readonly id = uuidv7()

  private readonly context: SqlContext
  private readonly deliver: Deliver
  private readonly onStopped: (member: GroupMember) => void
  private readonly turns = new Lock()
  private readonly partitions = new Map<string, OwnedPartition>()
  private readonly suspectsOut = new Set<HandedOut>()
  private topics: readonly Topic[] = []
  /** Deliveries in memory that are not settled. */
  private used = 0
  private handing = true
  private hasWork = false
  private lookAgain = false
  private balanceAgain = false
  private balancedAt = 0
  private scheduled = false
  private flushDue = false
  private flushTimer: NodeJS.Timeout | undefined
  private heartbeat: NodeJS.Timeout | undefined
  private failures = 0
  private retryAt = 0
  private rotation = 0
  private stopping: Promise<void> | undefined
  private onQuiet: (() => void) | undefined
  private gone = false

  constructor(context: SqlContext, spec: SubscriptionSpec, deliver: Deliver, onStopped: (member: GroupMember) => void) {
    this.context = context
    this.spec = spec
    this.deliver = deliver
    this.onStopped = onStopped
  }

  get group(): string {
    return this.spec.group
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: number): number {
    let count = 0
    for (const partition of this.partitions.values()) {
      if (partition.topic.id !== topic) continue
      for (const delivery of [...partition.line, ...partition.aside]) if (isUnsettled(delivery)) count++
    }
    return count
  }

  async start(): Promise<void> {
    const { executor, dialect, lease } = this.context
    this.topics = await this.context.topics.ensure(this.spec.topics)
    await executor.write(async (sql) => {
      for (const topic of this.topics) await createCursors(sql, dialect, this.group, topic, this.spec.from)
      await enter(sql, this.group, this.topics, this.id, Date.now() + lease)
    })
    await this.turn(() => this.balance())
    this.context.groupChanged(this.group)
    // Not unref'd: a process that only consumes stays alive, as with any broker that it has a connection to.
    this.heartbeat = setInterval(() => void this.attempt(() => this.beat()), Math.max(10, lease / 3))
    this.wake()
  }

  /** Called often: a cheap look at whether there is something to do. */
  tick(changedElsewhere: boolean): void {
    if (this.gone) return
    if (changedElsewhere) {
      this.lookAgain = true
      this.balanceAgain = true
    }
    if (performance.now() < this.retryAt) return
    if (this.lookAgain || this.balanceAgain || this.findWork()) this.wake()
  }

  /** When the next message that is set aside comes due, in Unix milliseconds. */
  nextDue(): number {
    let next = Infinity
    for (const { nextDue: due, nextSuspect } of this.partitions.values()) next = Math.min(next, due, nextSuspect)
    return next
  }

  /** The log of one of the partitions has grown. */
  grew(topic: number, partition: number): void {
    const owned = this.partitions.get(`${topic}/${partition}`)
    if (owned === undefined) return
    owned.more = true
    this.hasWork = true
    this.wake()
  }

  /** Members, leases or set-aside messages of the group have changed. */
  changed(): void {
    this.lookAgain = true
    this.balanceAgain = true
    this.balancedAt = 0
    this.wake()
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    this.flushDue = true
    await this.attempt(() => this.pump())
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown(options.deadline)
    return this.stopping
  }

  // Turns

  private async turn<T>(work: () => Promise<T>): Promise<T> {
    await this.turns.acquire()
    try {
      return await work()
    } finally {
      this.turns.release()
    }
  }

  /** A turn in the background: what fails is told to the logger and tried again later. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    if (this.gone) return
    try {
      await this.turn(work)
      this.failures = 0
    } catch (error) {
      this.failures++
      const pause = Math.min(5_000, 50 * 2 ** Math.min(this.failures, 10)) * (0.5 + Math.random() / 2)
      this.retryAt = performance.now() + pause
      setTimeout(() => this.wake(), pause)
      const fields = { group: this.group, topics: this.spec.topics, failures: this.failures, err: String(error) }
      this.context.logger.error(fields, 'cannot read from or write to the database; trying again')
    }
  }

  private wake(): void {
    if (this.scheduled || this.gone) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      if (performance.now() < this.retryAt) return
      void this.attempt(() => this.pump())
    })
  }

  private flushSoon(): void {
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined
      this.flushDue = true
      this.wake()
    }, FLUSH_AFTER)
  }

  // Handing out

  private async pump(): Promise<void> {
    if (this.balanceAgain && performance.now() >= this.balancedAt + BALANCE_EVERY) await this.balance()
    if (this.lookAgain) await this.look()
    await this.storeVerdicts()
    await this.releaseDrained()
    const fetching = this.fetchable()
    const flushing = this.flushDue ? this.unflushed() : this.waitedFor()
    if (fetching.length > 0 || flushing.length > 0) await this.fetch(fetching, flushing)
    this.hasWork = this.findWork()
    if (this.unflushed().length > 0 || (this.hasWork && this.used > 0 && this.used < this.spec.prefetch))
      this.flushSoon()
    if (this.hasWork && this.wantsMore()) this.wake()
  }

  /** Few large fetches are cheaper than many small ones; a window that stays nearly full is filled up with the next flush. */
  private wantsMore(): boolean {
    const room = this.spec.prefetch - this.used
    return this.handing && room > 0 && (room >= this.spec.prefetch / 4 || this.used === 0)
  }

  private fetchable(): OwnedPartition[] {
    const eager = this.flushDue || this.wantsMore()
    if (!eager || !this.handing || this.used >= this.spec.prefetch) return []
    const ready = [...this.partitions.values()].filter((partition) => this.isReady(partition))
    // Begins with another one each time, so that a small window serves all.
    this.rotation = ready.length === 0 ? 0 : (this.rotation + 1) % ready.length
    return [...ready.slice(this.rotation), ...ready.slice(0, this.rotation)]
  }

  private findWork(): boolean {
    if (!this.handing) return false
    for (const partition of this.partitions.values()) if (this.isReady(partition)) return true
    return false
  }

  private isReady(partition: OwnedPartition): boolean {
    if (partition.draining || partition.lost) return false
    const now = this.context.now()
    if (partition.nextDue <= now) return true
    const gate = this.mayRunSuspect()
    if (partition.nextSuspect <= now && gate) return true
    const [first] = partition.backlog
    if (first !== undefined) return !first.suspect || (gate && !this.waits(partition))
    return partition.more && !this.waits(partition)
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  private mayRunSuspect(): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspectsOut) if (delivery.since > recent) return false
    return true
  }

  private waits(partition: OwnedPartition): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspectsOut) if (delivery.owner === partition && delivery.since > recent) return true
    return false
  }

  private unflushed(): OwnedPartition[] {
    return [...this.partitions.values()].filter((one) => one.dirty || one.storedWaiters.length > 0)
  }

  private waitedFor(): OwnedPartition[] {
    return [...this.partitions.values()].filter((one) => one.storedWaiters.length > 0)
  }

  private async fetch(fetching: readonly OwnedPartition[], flushing: readonly OwnedPartition[]): Promise<void> {
    this.flushDue = false
    const budget: Budget = {
      room: this.spec.prefetch - this.used,
      bytes: FETCH_BYTES,
      suspects: this.mayRunSuspect() ? 1 : 0,
    }
    const each = fetching.length === 0 ? 0 : Math.ceil(budget.room / fetching.length)
    const touched = [...new Set([...fetching, ...this.unflushed(), ...flushing])]
    const expires = Date.now() + this.context.lease
    const park = this.spec.onFailure === 'park'
    let found: (readonly [OwnedPartition, Advanced])[]
    try {
      found = await this.context.executor.write(async (sql) => {
        const results: (readonly [OwnedPartition, Advanced])[] = []
        for (const partition of touched) {
          const limit = fetching.includes(partition) ? each : 0
          const options = { limit, budget, expires, park, waits: this.waits(partition) }
          results.push([partition, await advance(sql, this.context, partition, options)])
        }
        return results
      })
    } catch (error) {
      for (const partition of touched) partition.dirty = true
      throw error
    }
    for (const [partition, step] of found) this.takeOver(partition, step)
    for (const [partition, step] of found) {
      if (partition.lost) continue
      for (const delivery of step.aside) this.handOut(partition, delivery)
      for (const delivery of step.fresh) this.handOut(partition, delivery)
    }
  }

  private takeOver(partition: OwnedPartition, step: Advanced): void {
    if (step.lost) return this.lose(partition)
    partition.position = step.position
    partition.backlog = step.backlog
    partition.more = step.more
    partition.nextDue = step.nextDue
    partition.nextSuspect = step.nextSuspect
    for (const lane of step.unblocked) partition.blocked.delete(lane)
    partition.sweep()
    partition.line.push(...step.fresh)
    for (const delivery of step.aside) partition.aside.add(delivery)
    this.used += step.fresh.length + step.aside.length
    partition.resolveStored(step.waiters)
  }

  private handOut(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.state !== 'held' || !this.handing || partition.draining || partition.lost) return
    if (this.spec.onFailure === 'park' && delivery.lane !== undefined && delivery.entry === undefined) {
      const lane = partition.lanes.get(delivery.lane)
      if (lane === undefined) partition.lanes.set(delivery.lane, { head: delivery, waiting: [] })
      else if (lane.head !== delivery) {
        delivery.state = 'queued'
        lane.waiting.push(delivery)
        return
      }
    }
    delivery.state = 'out'
    delivery.attempts = delivery.begun
    if (delivery.suspect) {
      delivery.since = performance.now()
      this.suspectsOut.add(delivery)
    }
    const verdict = this.deliver(delivery)
    if (verdict instanceof Promise) {
      verdict.then(
        (settled) => this.settle(partition, delivery, settled),
        () => this.settle(partition, delivery, { release: true }),
      )
    } else this.settle(partition, delivery, verdict)
  }

  // Settling

  private settle(partition: OwnedPartition, delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out') return
    if (delivery.suspect) this.suspectsOut.delete(delivery)
    if (partition.lost) this.finish(delivery)
    else if ('ack' in verdict) this.acked(partition, delivery)
    else if ('release' in verdict) this.released(partition, delivery)
    else if ('redeliver' in verdict)
      this.leaves(partition, delivery, { what: 'redeliver', redeliver: verdict.redeliver })
    else this.leaves(partition, delivery, { what: 'deadLetter', failure: verdict.deadLetter })
    if (this.hasWork ? this.wantsMore() : partition.draining) this.wake()
    else if (!this.gone) this.flushSoon()
    if (this.onQuiet !== undefined) this.checkQuiet()
  }

  private finish(delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    this.used--
  }

  private acked(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'ack' })
    this.finish(delivery)
    partition.dirty = true
    if (delivery.lane !== undefined) this.nextInLane(partition, delivery.lane)
  }

  private nextInLane(partition: OwnedPartition, name: string): void {
    const lane = partition.lanes.get(name)
    if (lane === undefined) return
    const next = lane.waiting.shift()
    if (next === undefined) {
      partition.lanes.delete(name)
      return
    }
    lane.head = next
    next.state = 'held'
    this.handOut(partition, next)
  }

  private released(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'release' })
    delivery.state = 'held'
    partition.dirty = true
    if (!this.handing) return
    setTimeout(() => this.handOut(partition, delivery), RELEASE_PAUSE)
  }

  /** The message leaves the line. Where failed keys park, those that wait behind it follow. */
  private leaves(partition: OwnedPartition, delivery: HandedOut, settlement: Settlement): void {
    this.keep(partition, delivery, settlement)
    if (delivery.entry !== undefined || delivery.lane === undefined) return
    this.parkWaiting(partition, delivery.lane)
  }

  private parkWaiting(partition: OwnedPartition, name: string): void {
    for (const waiting of partition.lanes.get(name)?.waiting.splice(0) ?? []) {
      this.keep(partition, waiting, { what: 'park' })
    }
  }

  /** Until it is stored the delivery counts as unsettled. */
  private keep(partition: OwnedPartition, delivery: HandedOut, settlement: Settlement): void {
    delivery.state = 'storing'
    partition.toStore.push({ delivery, settlement })
    this.wake()
  }

  private async storeVerdicts(): Promise<void> {
    const now = performance.now()
    for (const partition of this.partitions.values()) {
      if (partition.toStore.length === 0 || now < partition.storeAgainAt) continue
      const batch = partition.toStore
      partition.toStore = []
      if (await this.storeBatch(partition, batch)) continue
      // One that cannot be stored must not keep the others.
      if (batch.length > 1 && !partition.lost) for (const one of batch) await this.storeBatch(partition, [one])
    }
  }

  private async storeBatch(partition: OwnedPartition, batch: readonly ToStore[]): Promise<boolean> {
    const expires = Date.now() + this.context.lease
    try {
      const stored = await this.context.executor.write((sql) => store(sql, this.context, partition, batch, expires))
      for (const { delivery } of batch) {
        partition.aside.delete(delivery)
        this.finish(delivery)
      }
      if (stored.lost) {
        this.lose(partition)
        return true
      }
      partition.storeFailures = 0
      partition.resolveStored(stored.waiters)
      partition.sweep()
      for (const lane of stored.unblocked) partition.blocked.delete(lane)
      for (const lane of stored.blocked) {
        if (this.spec.onFailure === 'park') partition.blocked.add(lane)
        this.parkWaiting(partition, lane)
        partition.lanes.delete(lane)
      }
      partition.nextDue = partition.nextSuspect = 0
      return true
    } catch (error) {
      partition.dirty = true
      partition.toStore.push(...batch)
      const pause = Math.min(5_000, 50 * 2 ** Math.min(partition.storeFailures++, 10))
      partition.storeAgainAt = performance.now() + pause
      setTimeout(() => this.wake(), pause)
      const fields = { group: this.group, topic: partition.topic.name, messages: batch.length, err: String(error) }
      this.context.logger.error(
        fields,
        'cannot store redeliveries or dead letters; they stay unsettled and are tried again',
      )
      return false
    }
  }

  /** `Delivery.began`: resolves when it is stored. */
  private began(partition: OwnedPartition, delivery: HandedOut, attempts: number): void | Promise<void> {
    if (partition.lost || delivery.state !== 'out') return undefined
    delivery.begun = Math.max(delivery.begun, attempts)
    if (delivery.entry !== undefined) return this.countAttempts(delivery)
    partition.dirty = true
    return new Promise((resolve) => {
      partition.storedWaiters.push(resolve)
      this.wake()
    })
  }

  private async countAttempts(delivery: HandedOut): Promise<void> {
    const { entry, begun } = delivery
    if (entry === undefined) return
    await this.attempt(() => this.context.executor.write((sql) => countAttempts(sql, entry, begun)))
  }

  // Who has what

  private async balance(): Promise<void> {
    this.balanceAgain = false
    this.balancedAt = performance.now()
    if (!this.handing) return
    const { executor } = this.context
    for (const topic of this.topics) {
      const owned = [...this.partitions.values()].filter((one) => one.topic === topic)
      const [quota, free] = await executor.read(async (sql) => {
        const now = Date.now()
        return [
          await share(sql, this.group, topic, this.id, now),
          owned.length === topic.partitions ? [] : await freePartitions(sql, this.group, topic, now),
        ] as const
      })
      // Not in the list: it was silent for too long, and says so again with the next heartbeat.
      if (quota === undefined) continue
      this.drain(owned, quota)
      const wanted = free
        .filter((partition) => !this.partitions.has(`${topic.id}/${partition}`))
        .slice(0, quota - owned.length)
      if (owned.length < quota && wanted.length > 0) await this.claim(topic, wanted)
    }
    await this.releaseDrained()
  }

  /** Partitions above the share are handed over, the least busy first: nothing more is handed out of them. */
  private drain(owned: readonly OwnedPartition[], quota: number): void {
    const byLoad = owned.toSorted((a, b) => a.line.length + a.aside.size - b.line.length - b.aside.size)
    const draining = new Set(
      [...byLoad.filter((one) => one.draining), ...byLoad.filter((one) => !one.draining)].slice(
        0,
        Math.max(0, owned.length - quota),
      ),
    )
    for (const partition of owned) {
      const was = partition.draining
      partition.draining = draining.has(partition)
      if (was && !partition.draining) for (const delivery of partition.line) this.handOut(partition, delivery)
    }
  }

  private async claim(topic: Topic, wanted: readonly number[]): Promise<void> {
    const { executor, dialect, lease } = this.context
    const taken = await executor.write(async (sql) => {
      const claimed: OwnedPartition[] = []
      const now = Date.now()
      for (const partition of wanted) {
        const lease_ = { group: this.group, topic, partition, owner: this.id, now, expires: now + lease }
        const got = await claim(sql, dialect, lease_)
        if (got === undefined) continue
        const owned: OwnedPartition = new OwnedPartition(got, {
          began: (delivery, attempts) => this.began(owned, delivery, attempts),
        })
        if (this.spec.onFailure === 'park') for (const lane of await blockedLanes(sql, got)) owned.blocked.add(lane)
        owned.nextDue = await nextDue(sql, got, 'due')
        owned.nextSuspect = await nextDue(sql, got, 'suspect')
        claimed.push(owned)
      }
      return claimed
    })
    for (const partition of taken) this.partitions.set(partition.name, partition)
    if (taken.length > 0) this.wake()
  }

  private async releaseDrained(): Promise<void> {
    const drained = [...this.partitions.values()].filter((one) => one.draining && !one.busy)
    if (drained.length > 0) await this.release(drained)
  }

  private async release(partitions: readonly OwnedPartition[]): Promise<void> {
    const { executor, dialect } = this.context
    await executor.write(async (sql) => {
      for (const partition of partitions) {
        const open = partition.openList(dialect)
        await release(sql, partition, { position: partition.position, open })
      }
    })
    for (const partition of partitions) this.lose(partition)
    this.context.groupChanged(this.group)
  }

  /** It is not ours any more. What is still out keeps its place in the window until its verdict comes. */
  private lose(partition: OwnedPartition): void {
    if (partition.lost) return
    partition.lose()
    this.partitions.delete(partition.name)
    for (const delivery of [...partition.line, ...partition.aside]) {
      if (delivery.state !== 'out' && delivery.state !== 'done') this.finish(delivery)
    }
    this.balanceAgain = true
  }

  /** Sign of life; finds leases that were lost. */
  private async beat(): Promise<void> {
    const { executor, lease } = this.context
    const now = Date.now()
    const held = await executor.write(async (sql) => {
      await enter(sql, this.group, this.topics, this.id, now + lease)
      await bury(sql, this.group, now - 2 * lease)
      return renew(sql, this.group, this.id, now + lease)
    })
    for (const partition of [...this.partitions.values()]) {
      if (held.get(partition.name) !== partition.token) this.lose(partition)
    }
    await this.balance()
    this.wake()
  }

  /** What others have appended or set aside. */
  private async look(): Promise<void> {
    this.lookAgain = false
    const { executor, dialect } = this.context
    await executor.read(async (sql) => {
      for (const partition of this.partitions.values()) {
        const { topic, position } = partition
        if (!partition.more) {
          partition.more = (await sql.all(dialect.readAfter, [topic.id, partition.partition, position, 1])).length > 0
        }
        partition.nextDue = await nextDue(sql, partition, 'due')
        partition.nextSuspect = await nextDue(sql, partition, 'suspect')
      }
    })
  }

  // The end

  private async shutDown(deadline: number | undefined): Promise<void> {
    this.handing = false
    await this.quiet(deadline)
    clearInterval(this.heartbeat)
    try {
      await this.turn(() => this.giveUp())
    } catch (error) {
      const fields = { group: this.group, err: String(error) }
      this.context.logger.error(fields, 'could not release the partitions; others take them when the lease is over')
    }
    this.gone = true
    clearTimeout(this.flushTimer)
    this.onStopped(this)
    this.context.groupChanged(this.group)
  }

  /** Resolves when nothing is with the handlers and every verdict is stored, or after the deadline. */
  private quiet(deadline: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = deadline === undefined ? undefined : setTimeout(done, deadline)
      const check = (): void => this.checkQuiet()
      const poll = setInterval(check, 50)
      function done(): void {
        clearTimeout(timer)
        clearInterval(poll)
        resolve()
      }
      this.onQuiet = done
      this.checkQuiet()
    })
  }

  private checkQuiet(): void {
    for (const partition of this.partitions.values()) if (partition.busy) return
    this.onQuiet?.()
  }

  private async giveUp(): Promise<void> {
    const { executor, dialect } = this.context
    const owned = [...this.partitions.values()]
    await executor.write(async (sql) => {
      for (const partition of owned) {
        // What is out has begun, and will not end with us.
        for (const delivery of [...partition.line, ...partition.aside]) {
          if (isUnsettled(delivery)) delivery.begun++
          if (delivery.entry !== undefined && isUnsettled(delivery))
            await countAttempts(sql, delivery.entry, delivery.begun)
        }
        await release(sql, partition, { position: partition.position, open: partition.openList(dialect) })
      }
      await leave(sql, this.group, this.id)
    })
    for (const partition of owned) this.lose(partition)
  }
}

function isUnsettled(delivery: HandedOut): boolean {
  return delivery.state === 'out' || delivery.state === 'storing'
}
