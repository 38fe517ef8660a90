import { performance } from 'node:perf_hooks'
import type { Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { isLater, whenSettled } from '../broker/index.ts'
import { blamed, SUSPECT_ALONE } from '../broker/blamed.ts'
import type { HandedOut } from './delivery.ts'
import type { OwnedPartition, Settlement } from './partition.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/**
 * The deliveries that one member has in memory: at most `prefetch`. Hands them out in order and takes the verdicts. An ack
 * counts at once and is stored with the next step; every other verdict counts when it is stored.
 */
export class Window {
  /** False: nothing is handed out any more. */
  handing = true
  /** Deliveries in memory that are not settled. */
  used = 0

  private readonly spec: SubscriptionSpec
  private readonly parks: boolean
  private readonly deliver: Deliver
  private readonly settled: (partition: OwnedPartition, urgent: boolean) => void
  private readonly suspectsOut = new Set<HandedOut>()

  /** `settled`: a verdict came: there may be room, or something to store (`urgent`). */
  constructor(spec: SubscriptionSpec, deliver: Deliver, settled: Window['settled']) {
    this.spec = spec
    this.parks = spec.onFailure === 'park'
    this.deliver = deliver
    this.settled = settled
  }

  get room(): number {
    return this.spec.prefetch - this.used
  }

  /** Few large fetches are cheaper than many small ones; a window that stays nearly full is filled up now and then. */
  get wantsMore(): boolean {
    return this.handing && this.room > 0 && (this.room >= this.spec.prefetch / 4 || this.used === 0)
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  get mayRunSuspect(): boolean {
    return !this.hasSuspect(() => true)
  }

  /** The same of this one. */
  mayRun({ crashes }: { readonly crashes: number }): boolean {
    return crashes > 0 ? this.mayRunBlamed : this.mayRunSuspect
  }

  /** The same of one that a process has died with: of those one at a time in the whole process. */
  get mayRunBlamed(): boolean {
    return this.mayRunSuspect && blamed.mayRun()
  }

  /** A suspect of the partition is out: what comes after it in the log waits. */
  waits(partition: OwnedPartition): boolean {
    return this.hasSuspect((delivery) => delivery.owner === partition)
  }

  take(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry === undefined) partition.line.add(delivery)
    else partition.aside.add(delivery)
    this.used++
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
    if (delivery.unreadable !== undefined) return this.settle(partition, delivery, this.refuse(delivery.unreadable))
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return this.settle(partition, delivery, verdict)
    whenSettled(verdict, { settled: (settled) => this.settle(partition, delivery, settled) })
  }

  /** It is settled, or not ours any more: its place is free. */
  finish(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    this.forget(delivery)
    partition.forget(delivery)
    this.used--
  }

  /** The partition is not ours any more. What is still out keeps its place until its verdict comes. */
  lose(partition: OwnedPartition): void {
    partition.lose()
    for (const delivery of partition.all()) if (delivery.state !== 'out') this.finish(partition, delivery)
  }

  /** A verdict was stored: the lane goes on, or what waits in it is parked. */
  stored(partition: OwnedPartition, delivery: HandedOut): void {
    this.finish(partition, delivery)
    const { lane } = delivery
    if (!this.parks || lane === undefined || delivery.entry !== undefined) return
    if (partition.lanes.get(lane)?.head === delivery) {
      this.parkWaiting(partition, lane)
      partition.lanes.delete(lane)
    }
  }

  private forget(delivery: HandedOut): void {
    if (this.suspectsOut.delete(delivery)) blamed.end(delivery)
  }

  private hasSuspect(which: (delivery: HandedOut) => boolean): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspectsOut) if (delivery.since > recent && which(delivery)) return true
    return false
  }

  private settle(partition: OwnedPartition, delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out') return
    this.forget(delivery)
    if (partition.lost) this.finish(partition, delivery)
    else if ('ack' in verdict) this.acked(partition, delivery)
    else if ('release' in verdict) this.released(partition, delivery)
    else if ('redeliver' in verdict)
      this.leave(partition, delivery, { what: 'redeliver', redeliver: verdict.redeliver })
    else this.leave(partition, delivery, { what: 'dead', failure: verdict.deadLetter })
    this.settled(partition, partition.toStore.length > 0)
  }

  private acked(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'ack' })
    partition.acks.push(delivery.id)
    if (delivery.begun > 0 || delivery.suspect) partition.marked = true
    this.finish(partition, delivery)
    if (this.parks && delivery.lane !== undefined) this.nextInLane(partition, delivery.lane)
  }

  private released(partition: OwnedPartition, delivery: HandedOut): void {
    if (delivery.entry !== undefined) return this.keep(partition, delivery, { what: 'release' })
    delivery.state = 'held'
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
    const line = [...partition.line].filter((one) => one.lane === lane)
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

  private refuse(error: Error): Verdict {
    const now = Date.now()
    const { name, message } = error
    const failure = { reason: 'undecodable', error: { name, message }, handler: this.spec.group, attempts: 0 } as const
    return { deadLetter: { ...failure, firstFailedAt: now, lastFailedAt: now } }
  }
}
