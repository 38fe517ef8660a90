import { performance } from 'node:perf_hooks'
import { advance, advanceAtOnce } from './advance.ts'
import { pauseAfter, pauseWhileHeld } from './backoff.ts'
import type { SqlContext } from './context.ts'
import type { Statements } from './executor.ts'
import type { OwnedPartition, ToStore } from './partition.ts'
import { type Advanced, type Budget, Step } from './step.ts'
import { store } from './store.ts'
import type { Window } from './window.ts'

/** Bytes of bodies read in one fetch, about. */
const FETCH_BYTES = 8 * 1024 * 1024

/** Milliseconds in which handlers that are quick have done with a window. */
const QUICK = 10

/** What the pump needs of the member that it works for. */
export interface PumpHost {
  readonly context: SqlContext
  readonly group: string
  readonly window: Window
  /** Partitions that are owned now. */
  owned(): readonly OwnedPartition[]
  /** The lease was lost. */
  lost(partition: OwnedPartition): void
  /** Asks for another turn after `pause` milliseconds. */
  again(pause: number): void
}

/** Moves messages between the database and the window of a member: verdicts one way, what comes next the other. */
export class Pump {
  private readonly host: PumpHost
  private readonly parks: boolean
  private rotation = 0
  /** The last fetch filled the window, at this `performance.now()`. */
  private filled = false
  private fetchedAt = 0

  constructor(host: PumpHost, parks: boolean) {
    this.host = host
    this.parks = parks
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
    await this.storeVerdicts()
    const { window } = this.host
    const owned = this.host.owned()
    const fetching = window.wantsMore || (flush && window.handing && window.room > 0) ? this.ready(owned) : []
    const waited = flush ? owned.some(needsStoring) : owned.some((partition) => partition.storedWaiters.length > 0)
    if (fetching.length > 0 || waited) await this.fetch(fetching, owned.filter(needsStoring))
  }

  /** Begins with another partition each time, so that a small window serves all. */
  private ready(owned: readonly OwnedPartition[]): OwnedPartition[] {
    const ready = owned.filter((partition) => this.isReady(partition))
    if (ready.length === 0) return []
    const first = this.rotation % ready.length
    const few = this.areQuick ? this.enough : ready.length
    this.rotation = (first + (few < ready.length ? few : 1)) % ready.length
    return [...ready.slice(first), ...ready.slice(0, first)].slice(0, few)
  }

  /** Partitions that fill the window, if each gives what is worth a fetch. */
  private get enough(): number {
    const { window, context } = this.host
    return Math.ceil(window.room / (context.dialect.worthAFetch ?? 1))
  }

  /**
   * The handlers have done with a whole window at once. Then it does not matter that few partitions have few keys that can
   * be handled side by side; it does matter where they are slow.
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

  private async fetch(fetching: readonly OwnedPartition[], flushing: readonly OwnedPartition[]): Promise<void> {
    const { window } = this.host
    const touched = [...new Set([...fetching, ...flushing])]
    let found: Advanced[]
    try {
      found = await this.advanceAll(touched, new Set(fetching))
    } catch (error) {
      for (const partition of touched) partition.dirty = partition.more = partition.uncertain = true
      throw error
    }
    for (const step of found) {
      if (step.lost) this.host.lost(step.partition)
      else window.take(step.partition, step)
      step.partition.resolveStored(step.waiters)
    }
    this.waitForHeld(found)
    this.filled = window.room <= 0
    this.fetchedAt = performance.now()
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

  private advanceAll(touched: readonly OwnedPartition[], fetching: ReadonlySet<OwnedPartition>): Promise<Advanced[]> {
    const { context, window } = this.host
    const budget: Budget = { room: window.room, bytes: FETCH_BYTES, suspects: window.mayRunSuspect ? 1 : 0 }
    const each = Math.ceil(window.room / Math.max(1, fetching.size))
    const expires = Date.now() + context.lease
    const stepsOver = (sql: Statements): Step[] =>
      touched.map((partition) => {
        const limit = fetching.has(partition) ? each : 0
        const options = { limit, budget, expires, park: this.parks, waits: window.waits(partition) }
        return new Step(sql, context, partition, options)
      })
    const { executor, dialect } = context
    if (dialect.fetch !== undefined) {
      const steps = stepsOver(executor)
      if (steps.every((step) => step.isPlain)) return advanceAtOnce(executor, dialect, steps, budget)
    }
    return executor.write((sql) => advance(sql, dialect, stepsOver(sql), budget))
  }

  private async storeVerdicts(): Promise<void> {
    const now = performance.now()
    for (const partition of this.host.owned()) {
      if (partition.toStore.length === 0 || now < partition.storeAgainAt) continue
      const batch = partition.toStore
      partition.toStore = []
      if (await this.storeBatch(partition, batch)) continue
      if (batch.length === 1 || partition.lost) continue
      // One that cannot be stored must not keep the others.
      partition.toStore = partition.toStore.filter((one) => !batch.includes(one))
      for (const one of batch) if (!partition.lost) await this.storeBatch(partition, [one])
    }
  }

  private async storeBatch(partition: OwnedPartition, batch: readonly ToStore[]): Promise<boolean> {
    const { context, window } = this.host
    const expires = Date.now() + context.lease
    try {
      const stored = await context.executor.write((sql) => store(sql, context, partition, batch, expires))
      if (stored.lost) {
        this.host.lost(partition)
        return true
      }
      for (const { delivery } of batch) window.finish(partition, delivery)
      partition.storeFailures = 0
      partition.resolveStored(stored.waiters)
      for (const lane of stored.unblocked) partition.blocked.delete(lane)
      window.block(partition, stored.blocked)
      // What was stored may be due at once: looked up with the next fetch.
      partition.nextDue = partition.nextSuspect = 0
      return true
    } catch (error) {
      partition.dirty = true
      partition.toStore.push(...batch)
      const pause = pauseAfter(++partition.storeFailures)
      partition.storeAgainAt = performance.now() + pause
      this.host.again(pause)
      const fields = { group: partition.group, topic: partition.topic.name, messages: batch.length, err: String(error) }
      context.logger.error(fields, 'cannot store redeliveries or dead letters: they stay unsettled and are tried again')
      return false
    }
  }
}

function needsStoring(partition: OwnedPartition): boolean {
  return partition.dirty || partition.storedWaiters.length > 0
}
