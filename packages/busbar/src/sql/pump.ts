import { performance } from 'node:perf_hooks'
import { advance, advanceAtOnce } from './advance.ts'
import { pauseWhileHeld } from './backoff.ts'
import type { Statements } from './executor.ts'
import type { OwnedPartition } from './partition.ts'
import type { PumpHost } from './pump-host.ts'
import { type Advanced, type Budget, Step } from './step.ts'
import { Verdicts } from './verdicts.ts'

/** Bytes of bodies read in one fetch, about. */
const FETCH_BYTES = 8 * 1024 * 1024

/** Milliseconds in which handlers that are quick have done with what was fetched. */
const QUICK = 10

/** A fetch that is under way. */
interface Fetching {
  readonly touched: readonly OwnedPartition[]
  readonly found: Promise<readonly Advanced[]>
  /** Messages that it may bring. */
  readonly room: number
}

/** Moves messages between the database and the window of a member: verdicts one way, what comes next the other. */
export class Pump {
  private readonly host: PumpHost
  private readonly parks: boolean
  private readonly verdicts: Verdicts
  private rotation = 0
  /** Begun while the handlers still had the messages before. */
  private ahead: Fetching | undefined
  /** The last fetch brought all that it might, at this `performance.now()`. */
  private filled = false
  private fetchedAt = 0

  constructor(host: PumpHost, parks: boolean) {
    this.host = host
    this.parks = parks
    this.verdicts = new Verdicts(host)
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

  /**
   * Takes over the fetch that was begun ahead, if there is one: whatever else writes to partitions of this member comes
   * after that. Resolves to whether the next one is under way by now, which is only if `mayGoOn`.
   */
  async land(mayGoOn: boolean): Promise<boolean> {
    const { ahead } = this
    this.ahead = undefined
    if (ahead !== undefined) await this.takeOver(ahead, mayGoOn)
    return this.ahead !== undefined
  }

  /** Fetches if there is room for it, and stores what has settled if `flush`, or if it fetches anyway. */
  async turn(flush: boolean): Promise<void> {
    await this.verdicts.storeAll()
    const { window, context } = this.host
    const owned = this.host.owned()
    const quick = this.areQuick
    const fetching = window.wantsMore || (flush && window.handing && window.room > 0) ? this.ready(owned, quick) : []
    const waited = flush ? owned.some(needsStoring) : owned.some((partition) => partition.storedWaiters.length > 0)
    if (fetching.length === 0 && !waited) return
    const halves = quick && window.room >= 2 * (context.dialect.worthAFetch ?? Infinity)
    const room = halves ? Math.ceil(window.room / 2) : window.room
    await this.takeOver(this.begin(fetching, owned.filter(needsStoring), room), halves && this.host.mayGoOn)
  }

  /** Begins with another partition each time, so that a small window serves all. */
  private ready(owned: readonly OwnedPartition[], quick: boolean): OwnedPartition[] {
    const ready = owned.filter((partition) => this.isReady(partition))
    if (ready.length === 0) return []
    const { worthAFetch } = this.host.context.dialect
    const first = this.rotation % ready.length
    const few = quick && worthAFetch ? Math.ceil(this.host.window.room / worthAFetch) : ready.length
    this.rotation = (first + (few < ready.length ? few : 1)) % ready.length
    return [...ready.slice(first), ...ready.slice(0, first)].slice(0, few)
  }

  /**
   * The handlers have done at once with all that they were given. Then it does not matter that few partitions have few keys
   * that can be handled side by side; it does matter where they are slow.
   */
  private get areQuick(): boolean {
    return this.host.window.used === 0 && this.filled && performance.now() - this.fetchedAt < QUICK
  }

  private isReady(partition: OwnedPartition): boolean {
    if (partition.draining || partition.lost) return false
    const { window, context } = this.host
    const now = context.now()
    if (partition.nextDue <= now) return true
    if (partition.nextSuspect <= now && window.mayRunSuspect) return true
    const [first] = partition.backlog
    if (first !== undefined) return !first.suspect || (window.mayRunSuspect && !window.waits(partition))
    return partition.more && performance.now() >= partition.readAgainAt && !window.waits(partition)
  }

  /** Half a window is fetched while the handlers have the other half: where both are quick, neither waits for the other. */
  private fetchAhead(): void {
    const { window } = this.host
    const owned = this.host.owned()
    const inTheWay = owned.some((one) => one.draining || one.toStore.length + one.storedWaiters.length > 0)
    if (inTheWay || !window.handing || window.room <= 0) return
    const fetching = this.ready(owned, true)
    if (fetching.length === 0) return
    const ahead = this.begin(fetching, owned.filter(needsStoring), window.room)
    const wake = (): void => this.host.again(0)
    ahead.found.then(wake, wake)
    this.ahead = ahead
  }

  private begin(fetching: readonly OwnedPartition[], flushing: readonly OwnedPartition[], room: number): Fetching {
    const { context, window } = this.host
    const { executor, dialect } = context
    const touched = [...new Set([...fetching, ...flushing])]
    const budget: Budget = { room, bytes: FETCH_BYTES, suspects: window.mayRunSuspect ? 1 : 0 }
    const each = Math.ceil(room / Math.max(1, fetching.length))
    const expires = Date.now() + context.lease
    const stepsOver = (sql: Statements): Step[] =>
      touched.map((partition) => {
        const limit = fetching.includes(partition) ? each : 0
        const options = { limit, budget, expires, park: this.parks, waits: window.waits(partition) }
        return new Step(sql, context, partition, options)
      })
    if (dialect.fetch !== undefined) {
      const steps = stepsOver(executor)
      if (steps.every((step) => step.isPlain)) {
        return { touched, found: advanceAtOnce(executor, dialect, steps, budget), room }
      }
    }
    return { touched, found: executor.write((sql) => advance(sql, dialect, stepsOver(sql), budget)), room }
  }

  private async takeOver({ touched, found: pending, room }: Fetching, mayGoOn: boolean): Promise<void> {
    const { window } = this.host
    let found: readonly Advanced[]
    try {
      found = await pending
    } catch (error) {
      for (const partition of touched) partition.dirty = partition.more = partition.uncertain = true
      throw error
    }
    const quick = this.areQuick
    let fetched = 0
    for (const step of found) {
      fetched += step.fresh.length
      if (step.lost) this.host.lost(step.partition)
      else window.take(step.partition, step)
      step.partition.resolveStored(step.waiters)
    }
    this.waitForHeld(found)
    this.filled = fetched >= room
    this.fetchedAt = performance.now()
    if (mayGoOn && quick && this.filled) this.fetchAhead()
    for (const { partition, aside, fresh } of found) {
      for (const delivery of aside) window.handOut(partition, delivery)
      for (const delivery of fresh) window.handOut(partition, delivery)
    }
  }

  /** What cannot be read yet is asked for again, less and less often while nothing comes. */
  private waitForHeld(found: readonly Advanced[]): void {
    let soonest = Infinity
    for (const { partition, held, fresh } of found) {
      if (!held) continue
      if (fresh.length > 0) partition.waits = 0
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
