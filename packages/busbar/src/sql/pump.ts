import { performance } from 'node:perf_hooks'
import { advance, advanceAhead, advanceAtOnce } from './advance.ts'
import { pauseWhileHeld } from './backoff.ts'
import type { Statements } from './executor.ts'
import type { OwnedPartition } from './partition.ts'
import type { PumpHost } from './pump-host.ts'
import { ReadAhead } from './read-ahead.ts'
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
  private rotation = 0
  /** The turn before was not for what was read ahead. */
  private turned = false
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
    this.readAhead = new ReadAhead(host, (held) => this.waitForHeld(held))
  }

  /** Is there something to hand out, if there were room? */
  get hasWork(): boolean {
    if (!this.host.window.handing) return false
    for (const partition of this.host.owned()) if (this.isReady(partition)) return true
    return false
  }

  /** Is there something settled that is not stored? */
  get isDirty(): boolean {
    for (const partition of this.host.owned()) if (needsStoring(partition)) return true
    return false
  }

  /** Fetches if there is room for it, and stores what has settled if `flush`, or if it fetches anyway. */
  async turn(flush: boolean): Promise<void> {
    await this.verdicts.storeAll()
    const { window, context } = this.host
    const owned = this.host.owned()
    const quick = this.areQuick
    const isAwaited = owned.some((partition) => partition.storedWaiters.length > 0)
    if (!flush && !isAwaited && this.areEmptying) return this.whenEmptied()
    const fetching = window.wantsMore || (flush && window.handing && window.room > 0) ? this.ready(owned, quick) : []
    const waited = flush ? owned.some(needsStoring) : isAwaited
    if (fetching.length === 0 && !waited) return
    const isSmall = !waited && this.isSmall(fetching)
    const touched = isSmall ? fetching : [...new Set([...fetching, ...owned.filter(needsStoring)])]
    // What is not stored with it is still named as open.
    const room = window.room - (isSmall ? window.unstored : 0)
    try {
      this.takeOver(await this.advance(touched, fetching, room), room)
    } catch (error) {
      for (const partition of touched) {
        partition.dirty = partition.more = partition.uncertain = true
        partition.dropAhead()
      }
      // What is stored of them may be older than was thought.
      window.unstored = Infinity
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

  /** Begins with another partition each time, so that a small window serves all. */
  private ready(owned: readonly OwnedPartition[], quick: boolean): OwnedPartition[] {
    const ready = owned.filter((partition) => this.isReady(partition))
    if (ready.length === 0) return []
    const own = ready.filter((one) => this.hasOwnWork(one))
    const read = ready.filter((one) => one.ahead.length > 0 && !own.includes(one))
    if (read.length > 0) {
      // In turns, so that neither waits for ever.
      this.turned = own.length > 0 && !this.turned
      if (this.turned) return own
      const few = this.filling(read, this.host.window.room)
      this.rotation = (this.rotation % read.length) + few.length
      return few
    }
    const { worthAFetch } = this.host.context.dialect
    const first = this.rotation % ready.length
    const few = quick && worthAFetch ? Math.ceil(this.host.window.room / worthAFetch) : ready.length
    this.rotation = (first + (few < ready.length ? few : 1)) % ready.length
    return [...ready.slice(first), ...ready.slice(0, first)].slice(0, few)
  }

  /** As many of those with messages in memory as fill the room. */
  private filling(read: readonly OwnedPartition[], room: number): OwnedPartition[] {
    const first = this.rotation % read.length
    const few: OwnedPartition[] = []
    let there = 0
    for (const one of [...read.slice(first), ...read.slice(0, first)]) {
      if (there >= room) break
      few.push(one)
      there += one.ahead.length
    }
    return few
  }

  /** What is handed out next as it looks, as far as it is here. */
  private prepareNext(room: number): void {
    const read = this.host.owned().filter(({ ahead }) => ahead.length > 0)
    for (const { ahead } of this.filling(read, room)) ahead.prepare(room)
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

  private isReady(partition: OwnedPartition): boolean {
    if (partition.draining || partition.lost) return false
    if (this.hasOwnWork(partition)) return true
    if (partition.backlog.length > 0 || this.host.window.waits(partition)) return false
    if (partition.ahead.length > 0) return true
    return partition.more && !partition.reading && performance.now() >= partition.readAgainAt
  }

  /** It has something for which more than the log has to be read. */
  private hasOwnWork(partition: OwnedPartition): boolean {
    const { window, context } = this.host
    const now = context.now()
    if (partition.nextDue <= now) return true
    if (partition.nextSuspect <= now && window.mayRunSuspect) return true
    const [first] = partition.backlog
    return first !== undefined && (!first.suspect || (window.mayRunSuspect && !window.waits(partition)))
  }

  /** One step of the partitions that are `touched`, of which some are `fetching`. */
  private advance(
    touched: readonly OwnedPartition[],
    fetching: readonly OwnedPartition[],
    room: number,
  ): Promise<readonly Advanced[]> {
    const { context, window } = this.host
    const { executor, dialect } = context
    if (!this.host.owned().some((one) => needsStoring(one) && !touched.includes(one))) {
      window.unstored = 0
      this.host.storing()
    }
    const budget: Budget = { room, bytes: FETCH_BYTES, suspects: window.mayRunSuspect ? 1 : 0 }
    const expires = Date.now() + context.lease
    const stepsOver = (sql: Statements, each: number): Step[] =>
      touched.map((partition) => {
        const limit = fetching.includes(partition) ? each : 0
        const options = { limit, budget, expires, park: this.parks, waits: window.waits(partition) }
        return new Step(sql, context, partition, options)
      })
    if (dialect.storeAtOnce !== undefined && fetching.every(({ ahead }) => ahead.length > 0)) {
      const steps = stepsOver(executor, room)
      if (steps.every((step) => step.isPlain)) {
        return advanceAhead(executor, dialect, steps, budget, () => this.prepareNext(room))
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
    for (const { partition, aside, fresh } of found) {
      for (const delivery of aside) window.handOut(partition, delivery)
      for (const delivery of fresh) window.handOut(partition, delivery)
    }
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
