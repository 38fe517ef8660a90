import { performance } from 'node:perf_hooks'
import type { Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { isLater, whenSettled } from '../broker/index.ts'
import { blamed, SUSPECT_ALONE } from '../broker/blamed.ts'
import type { Advanced } from './step.ts'
import { type HandedOut, isUnsettled } from './delivery.ts'
import type { OwnedPartition, Settlement } from './partition.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** What the window tells its member. */
export interface WindowEvents {
  /** A verdict came: there may be room, or something to store. `urgent`: something has to be stored. */
  settled(partition: OwnedPartition, urgent: boolean): void
}

/**
 * The deliveries that one member has in memory: at most `prefetch`. Hands them out in order and takes the verdicts. An ack
 * counts at once and is stored with the next cursor; every other verdict counts when it is stored.
 */
export class Window {
  readonly prefetch: number
  /** False: nothing is handed out any more. */
  handing = true
  /** Deliveries in memory that are not settled. */
  used = 0
  /** Most that have settled and are still named as open by what is stored. Infinity: it is not known. */
  unstored = 0
  /** When `used` became 0 last, by `performance.now()`. */
  emptiedAt = 0

  private readonly parks: boolean
  private readonly deliver: Deliver
  private readonly events: WindowEvents
  private readonly suspectsOut = new Set<HandedOut>()

  constructor(spec: SubscriptionSpec, deliver: Deliver, events: WindowEvents) {
    this.prefetch = spec.prefetch
    this.parks = spec.onFailure === 'park'
    this.deliver = deliver
    this.events = events
  }

  get room(): number {
    return this.prefetch - this.used
  }

  /** Few large fetches are cheaper than many small ones; a window that stays nearly full is filled up now and then. */
  get wantsMore(): boolean {
    return this.handing && this.room > 0 && (this.room >= this.prefetch / 4 || this.used === 0)
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  get mayRunSuspect(): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspectsOut) if (delivery.since > recent) return false
    return true
  }

  /** The same of one that a process has died with. */
  get mayRunBlamed(): boolean {
    return this.mayRunSuspect && blamed.mayRun(this)
  }

  /** A suspect of the partition is out: what comes after it in the log waits. */
  waits(partition: OwnedPartition): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspectsOut) if (delivery.owner === partition && delivery.since > recent) return true
    return false
  }

  /** Takes over what a committed step has found. */
  take(partition: OwnedPartition, step: Advanced): void {
    partition.position = step.position
    if (partition.ahead.length === 0) partition.readTo = step.position
    partition.backlog = step.backlog
    if (step.certain) partition.uncertain = false
    // Not lowered here: the log may have grown while the step was under way.
    partition.more ||= step.more
    partition.nextDue = step.nextDue
    partition.nextSuspect = step.nextSuspect
    for (const lane of step.unblocked) partition.blocked.delete(lane)
    partition.line.push(...step.fresh)
    for (const delivery of step.aside) partition.aside.add(delivery)
    this.used += step.fresh.length + step.aside.length
  }

  handOut(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.state !== 'held' || !this.handing || partition.draining || partition.lost) return
    if (partition.isReturning(delivery)) return
    if (this.parks && !this.enterLane(partition, delivery)) return
    delivery.state = 'out'
    delivery.attempts = delivery.begun
    if (delivery.suspect) {
      delivery.since = performance.now()
      this.suspectsOut.add(delivery)
      if (delivery.crashes > 0) blamed.begin(delivery)
    }
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return this.settle(partition, delivery, verdict)
    whenSettled(verdict, { settled: (settled) => this.settle(partition, delivery, settled) })
  }

  /** It is settled, or not ours any more: its place is free. */
  finish(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    partition.forget(delivery)
    if (--this.used === 0) this.emptiedAt = performance.now()
  }

  /** The partition is not ours any more. What is still out keeps its place until its verdict comes. */
  lose(partition: OwnedPartition): void {
    partition.lose()
    const idle = [...partition.all()].filter((delivery) => delivery.state !== 'out')
    for (const delivery of idle) this.finish(partition, delivery)
  }

  /** Something of these keys is set aside now: what waited for its turn is parked behind it. */
  block(partition: OwnedPartition, lanes: readonly string[]): void {
    if (!this.parks) return
    for (const lane of lanes) {
      partition.blocked.add(lane)
      this.parkWaiting(partition, lane)
      partition.lanes.delete(lane)
    }
  }

  private settle(partition: OwnedPartition, delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out') return
    if (delivery.suspect) {
      this.suspectsOut.delete(delivery)
      blamed.end(delivery)
    }
    if (partition.lost) this.finish(partition, delivery)
    else if ('ack' in verdict) this.acked(partition, delivery)
    else if ('release' in verdict) this.released(partition, delivery)
    else if ('redeliver' in verdict)
      this.leave(partition, delivery, { what: 'redeliver', redeliver: verdict.redeliver })
    else this.leave(partition, delivery, { what: 'deadLetter', failure: verdict.deadLetter })
    this.events.settled(partition, delivery.state === ('storing' as HandedOut['state']))
  }

  private acked(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'ack' })
    this.finish(partition, delivery)
    this.unstored++
    partition.dirty = true
    if (this.parks && delivery.lane !== undefined) this.nextInLane(partition, delivery.lane)
  }

  private released(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'release' })
    delivery.state = 'held'
    partition.dirty = true
    if (delivery.lane !== undefined) partition.returning.add(delivery.lane)
    if (this.handing) setTimeout(() => this.handOutAgain(partition, delivery), RELEASE_PAUSE)
  }

  /**
   * Those of its key go out again in their order, once all that were out have come back: what is behind may be with
   * the handler's side still, where the lease may have been renewed since.
   */
  private handOutAgain(partition: OwnedPartition, delivery: HandedOut): void {
    const { lane } = delivery
    if (lane === undefined) return this.handOut(partition, delivery)
    if (!partition.returning.has(lane) || partition.lost) return
    const line = partition.line.filter((one) => one.lane === lane)
    if (line.some(({ state }) => state === 'out')) {
      setTimeout(() => this.handOutAgain(partition, delivery), RELEASE_PAUSE)
      return
    }
    partition.returning.delete(lane)
    for (const one of line) this.handOut(partition, one)
  }

  /** The message leaves the line. Where failed keys park, those that wait behind it follow. */
  private leave(partition: OwnedPartition, delivery: HandedOut, settlement: Settlement): void {
    this.keep(partition, delivery, settlement)
    if (delivery.entry === undefined && delivery.lane !== undefined) this.parkWaiting(partition, delivery.lane)
  }

  /** Until it is stored the delivery counts as unsettled. */
  private keep(partition: OwnedPartition, delivery: HandedOut, settlement: Settlement): void {
    delivery.state = 'storing'
    partition.toStore.push({ delivery, settlement })
  }

  /** Of a key one at a time: if it fails, those behind it must not have begun. False: it waits for its turn. */
  private enterLane(partition: OwnedPartition, delivery: HandedOut): boolean {
    if (delivery.lane === undefined || delivery.entry !== undefined) return true
    const lane = partition.lanes.get(delivery.lane)
    if (lane === undefined) {
      partition.lanes.set(delivery.lane, { head: delivery, waiting: [] })
      return true
    }
    if (lane.head === delivery) return true
    delivery.state = 'queued'
    lane.waiting.push(delivery)
    return false
  }

  private nextInLane(partition: OwnedPartition, name: string): void {
    const lane = partition.lanes.get(name)
    const next = lane?.waiting.shift()
    if (lane === undefined || next === undefined) {
      partition.lanes.delete(name)
      return
    }
    lane.head = next
    next.state = 'held'
    this.handOut(partition, next)
  }

  private parkWaiting(partition: OwnedPartition, name: string): void {
    for (const waiting of partition.lanes.get(name)?.waiting.splice(0) ?? []) {
      this.keep(partition, waiting, { what: 'park' })
    }
  }
}

/** Deliveries handed out and not settled. */
export function countUnsettled(partition: OwnedPartition): number {
  let count = 0
  for (const delivery of partition.all()) if (isUnsettled(delivery)) count++
  return count
}
