import { performance } from 'node:perf_hooks'
import { advance, advanceAhead, advanceAtOnce, advanceBehind } from './advance.ts'
import { pauseWhileHeld } from './backoff.ts'
import { blamed } from '../broker/blamed.ts'
import type { ReadBehind } from './context.ts'
import type { Statements } from './executor.ts'
import type { OwnedPartition } from './partition.ts'
import type { PumpHost } from './pump-host.ts'
import { ReadAhead } from './read-ahead.ts'
import { Ready } from './ready.ts'
import { type Advanced, type Budget, Step } from './step.ts'
import { Verdicts } from './verdicts.ts'

/** Bytes of bodies read in one fetch, about. */
const FETCH_BYTES = 8 * 1024 * 1024

/** Milliseconds in which handlers that are quick have done with what was fetched. */
const QUICK = 10

/** Moves messages between the database and the window of a member: verdicts one way, what comes next the other. */
export class Pump {
  private readonly host: PumpHost
  private readonly parks: boolean
  private readonly verdicts: Verdicts
  private readonly readAhead: ReadAhead
  private readonly ready: Ready
  /** Of the turn that is under way, and not handed out yet. */
  private readonly taken: Advanced[] = []
  /** The last fetch brought all that it might, at this `performance.now()`. */
  private filled = false
  private fetchedAt = 0
  /** The handlers were done at once with what they had before that. */
  private wereQuick = false
  /** A turn comes by then, by `performance.now()`. */
  private askedUntil = 0

  constructor(host: PumpHost, parks: boolean) {
    this.host = host
    this.parks = parks
    this.verdicts = new Verdicts(host)
    this.ready = new Ready(host)
    this.readAhead = new ReadAhead(host, (held) => this.waitForHeld(held))
  }

  /** Is there something to hand out, if there were room? */
  get hasWork(): boolean {
    return this.host.window.handing && this.ready.any
  }

  /** Is there something settled that is not stored? */
  get isDirty(): boolean {
    for (const partition of this.host.owned()) if (needsStoring(partition)) return true
    return false
  }

  /** Fetches if there is room for it, and stores what has settled if `flush`, or if it fetches anyway. */
  async turn(flush: boolean): Promise<void> {
    await this.verdicts.storeAll()
    const { window } = this.host
    const owned = this.host.owned()
    const quick = this.areQuick
    const isAwaited = owned.some((partition) => partition.storedWaiters.length > 0)
    if (!flush && !isAwaited && this.areEmptying) return this.whenEmptied()
    const fetching = window.wantsMore || (flush && window.handing && window.room > 0) ? this.ready.next(quick) : []
    const waited = flush ? owned.some(needsStoring) : isAwaited
    if (fetching.length === 0 && !waited) return
    const isSmall = !waited && this.isSmall(fetching)
    const touched = isSmall ? fetching : [...new Set([...fetching, ...owned.filter(needsStoring)])]
    // What is not stored with it is still named as open.
    const room = window.room - (isSmall ? window.unstored : 0)
    this.storing(touched)
    await this.found(touched, this.advance(touched, fetching, room), room)
  }

  /** May what is being appended to the partition be fetched behind that, with nothing else to do? */
  mayFetchBehind(partition: OwnedPartition): boolean {
    const { window } = this.host
    const { more, reading, draining, lost, toStore, readAgainAt } = partition
    if (more || reading || draining || lost || toStore.length > 0 || performance.now() < readAgainAt) return false
    if (!window.wantsMore || window.unstored > window.room / 2 || window.waits(partition)) return false
    return partition.ahead.length === 0 && this.stepOver(partition, this.host.context.publishing, 0).isPlain
  }

  /** Only where it may. Where the connection breaks, that is nothing more than in vain: the append may be sent again. */
  async fetchBehind(partition: OwnedPartition, behind: ReadBehind): Promise<void> {
    const { window, context } = this.host
    const { publishing, dialect } = context
    const room = window.room - window.unstored
    const { unstored } = window
    partition.more = true
    this.storing([partition])
    const stored = unstored - window.unstored
    const budget = this.budgetOf(room)
    const step = this.stepOver(partition, publishing, room, budget)
    const found = advanceBehind(publishing, dialect, step, budget).then(
      (one) => {
        if (one !== undefined) return [one]
        behind.inVain = true
        window.unstored += stored
        return []
      },
      (error: unknown) => {
        behind.inVain = true
        if (publishing.passes?.(error) !== true) throw error
        // Perhaps it was carried out: what is stored next says what is true.
        partition.dirty = partition.more = true
        window.unstored = Infinity
        return []
      },
    )
    await this.found([partition], found, room)
  }

  /** Hands out what the last turn has found. */
  handOut(): void {
    const { window } = this.host
    for (const { partition, aside, fresh } of this.taken.splice(0)) {
      for (const delivery of aside) window.handOut(partition, delivery)
      for (const delivery of fresh) window.handOut(partition, delivery)
    }
    blamed.end(window)
  }

  /** If nothing is left to be stored beside these, a flush has nothing to do. */
  private storing(touched: readonly OwnedPartition[]): void {
    if (this.host.owned().some((one) => needsStoring(one) && !touched.includes(one))) return
    this.host.window.unstored = 0
    this.host.storing()
  }

  private async found(
    touched: readonly OwnedPartition[],
    pending: Promise<readonly Advanced[]>,
    room: number,
  ): Promise<void> {
    try {
      this.takeOver(await pending, room)
    } catch (error) {
      for (const partition of touched) {
        partition.dirty = partition.more = partition.uncertain = true
        partition.dropAhead()
      }
      // What is stored of them may be older than was thought.
      this.host.window.unstored = Infinity
      throw error
    }
  }

  /** For one partition alone the database is quicker. Then what others have settled is room that is taken until the next flush. */
  private isSmall(fetching: readonly OwnedPartition[]): boolean {
    const { window, context } = this.host
    const [only] = fetching
    if (context.dialect.fetch === undefined || fetching.length > 1 || only === undefined) return false
    return only.ahead.length === 0 && window.unstored <= window.room / 2
  }

  /**
   * The handlers have done at once with all that they were given. Then it does not matter that few partitions have few keys
   * that can be handled side by side; it does matter where they are slow.
   */
  private get areQuick(): boolean {
    const { used, emptiedAt } = this.host.window
    return used === 0 && this.filled && emptiedAt - this.fetchedAt < QUICK
  }

  /** They will be done in a moment with what they have: then more can be fetched at once than there is room for now. */
  get areEmptying(): boolean {
    return this.wereQuick && this.host.window.used > 0 && performance.now() - this.fetchedAt < QUICK
  }

  /** Whoever settles asks for a turn; if nobody does, time does. */
  private whenEmptied(): void {
    const now = performance.now()
    if (now < this.askedUntil) return
    this.askedUntil = now + QUICK
    this.host.again(QUICK)
  }

  /** One step of the partitions that are `touched`, of which some are `fetching`. */
  private advance(
    touched: readonly OwnedPartition[],
    fetching: readonly OwnedPartition[],
    room: number,
  ): Promise<readonly Advanced[]> {
    const { context } = this.host
    const { executor, dialect } = context
    const budget = this.budgetOf(room)
    const now = context.now()
    const isBlamed = fetching.some(({ backlog: [first], nextSuspect }) => first?.crashes || nextSuspect <= now)
    if (budget.blamed && isBlamed) blamed.begin(this.host.window)
    const stepsOver = (sql: Statements, each: number): Step[] =>
      touched.map((one) => this.stepOver(one, sql, fetching.includes(one) ? each : 0, budget))
    if (dialect.storeAtOnce !== undefined && fetching.every(({ ahead }) => ahead.length > 0)) {
      const steps = stepsOver(executor, room)
      if (steps.every((step) => step.isPlain)) {
        return advanceAhead(executor, dialect, steps, budget, () => this.ready.prepare(room))
      }
    }
    for (const partition of fetching) partition.dropAhead()
    const each = Math.ceil(room / Math.max(1, fetching.length))
    if (dialect.fetch !== undefined) {
      const steps = stepsOver(executor, each)
      if (steps.every((step) => step.isPlain)) return advanceAtOnce(executor, dialect, steps, budget)
    }
    return executor.write((sql) => advance(sql, dialect, stepsOver(sql, each), budget))
  }

  private budgetOf(room: number): Budget {
    const { mayRunSuspect, mayRunBlamed } = this.host.window
    return { room, bytes: FETCH_BYTES, suspects: mayRunSuspect ? 1 : 0, blamed: mayRunBlamed }
  }

  private stepOver(partition: OwnedPartition, sql: Statements, limit: number, budget = this.budgetOf(limit)): Step {
    const { context, window } = this.host
    const expires = Date.now() + context.lease
    return new Step(sql, context, partition, {
      limit,
      budget,
      expires,
      park: this.parks,
      waits: window.waits(partition),
    })
  }

  private takeOver(found: readonly Advanced[], room: number): void {
    const { window } = this.host
    const quick = this.areQuick
    let fetched = 0
    for (const step of found) {
      fetched += step.fresh.length
      if (step.lost) this.host.lost(step.partition)
      else window.take(step.partition, step)
      step.partition.resolveStored(step.waiters)
    }
    for (const { partition, held, fresh } of found) if (held && fresh.length > 0) partition.waits = 0
    this.waitForHeld(found.filter(({ held }) => held).map(({ partition }) => partition))
    this.filled = fetched >= room || this.readAhead.busy
    this.wereQuick = quick && this.filled
    this.fetchedAt = performance.now()
    if (this.wereQuick) this.readAhead.begin()
    this.taken.push(...found)
  }

  /** What cannot be read yet is asked for again, less and less often while nothing comes. */
  private waitForHeld(held: readonly OwnedPartition[]): void {
    let soonest = Infinity
    for (const partition of held) {
      const pause = pauseWhileHeld(partition.waits++)
      partition.more = true
      partition.readAgainAt = performance.now() + pause
      soonest = Math.min(soonest, pause)
    }
    if (soonest < Infinity) this.host.again(soonest)
  }
}

function needsStoring(partition: OwnedPartition): boolean {
  return partition.dirty || partition.storedWaiters.length > 0
}
