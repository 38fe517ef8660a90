import { AsideLane, originOf } from './aside-lane.ts'
import type { KnownAside } from './asides.ts'
import { DueQueue } from '../broker/due-queue.ts'

/** Milliseconds until those that were due and could not go are looked at again, if nothing else happens. */
const PASSED_AGAIN = 50

/**
 * What is known to be set aside of one partition: what comes due when, and which keys wait. Of a lane (a key whose
 * messages are not to pass each other) only the first in the order of the log may go.
 */
export class SetAside {
  private readonly byEntry = new Map<string, KnownAside>()
  private readonly lanes = new Map<string, AsideLane>()
  /** May hold what has been replaced since. */
  private readonly queue = new DueQueue<KnownAside>()
  /** They were due and could not go. */
  private readonly passed: KnownAside[] = []
  /** Notes of what was discarded, to be deleted. */
  private readonly discarded: KnownAside[] = []

  get size(): number {
    return this.byEntry.size
  }

  get(entry: string): KnownAside | undefined {
    return this.byEntry.get(entry)
  }

  /** False: nothing newer. */
  learn(aside: KnownAside): boolean {
    const { entry } = aside
    const before = this.byEntry.get(entry)
    if (before !== undefined && before.seq >= aside.seq) return false
    this.byEntry.set(entry, aside)
    if (before !== undefined && before.lane !== aside.lane) this.leaveLane(before)
    if (aside.state === 'discarded') {
      this.leaveLane(aside)
      this.discarded.push(aside)
    } else if (aside.lane === undefined) this.queue.add(aside)
    else this.enterLane(aside, aside.lane)
    return true
  }

  /** It is settled. Nothing happens where a newer one is known. */
  forget(aside: KnownAside): void {
    if (this.byEntry.get(aside.entry)?.seq !== aside.seq) return
    this.byEntry.delete(aside.entry)
    this.leaveLane(aside)
  }

  /** Something of the lane is set aside that was in the log before `seq`. */
  blocks(lane: string, seq: number): boolean {
    const first = this.lanes.get(lane)?.first
    return first !== undefined && originOf(first) < seq
  }

  /** Takes those that are due and may go, as long as `enter` finds a place for each. */
  takeDue(now: number, mayGo: (aside: KnownAside) => boolean, enter: () => boolean): KnownAside[] {
    for (const aside of this.passed.splice(0)) this.queue.add(aside)
    const taken: KnownAside[] = []
    for (;;) {
      const { first } = this.queue
      if (first === undefined || first.due > now) return taken
      if (!this.isNext(first)) this.queue.removeFirst()
      else if (!mayGo(first)) {
        this.queue.removeFirst()
        this.passed.push(first)
      } else if (enter()) {
        this.queue.removeFirst()
        taken.push(first)
      } else return taken
    }
  }

  /** They were taken, and could not be handed out after all. */
  putBack(asides: readonly KnownAside[]): void {
    this.passed.push(...asides)
  }

  /** Milliseconds from `now` until the next one is due; Infinity: none. */
  nextDue(now: number): number {
    while (this.queue.first !== undefined && !this.isNext(this.queue.first)) this.queue.removeFirst()
    const { first } = this.queue
    const due = first === undefined ? Infinity : Math.max(0, first.due - now)
    return this.passed.length > 0 ? Math.min(PASSED_AGAIN, due) : due
  }

  /** Each is returned once. */
  takeDiscarded(): readonly KnownAside[] {
    return this.discarded.splice(0)
  }

  private isNext(aside: KnownAside): boolean {
    if (this.byEntry.get(aside.entry) !== aside) return false
    return aside.lane === undefined || this.lanes.get(aside.lane)?.first === aside
  }

  private enterLane(aside: KnownAside, name: string): void {
    const lane = this.lanes.get(name) ?? new AsideLane()
    this.lanes.set(name, lane)
    lane.put(aside)
    if (lane.first === aside) this.announce(aside)
  }

  private leaveLane(aside: KnownAside): void {
    const lane = aside.lane === undefined ? undefined : this.lanes.get(aside.lane)
    if (lane === undefined) return
    const before = lane.first
    lane.remove(aside)
    const { first } = lane
    if (first === undefined) this.lanes.delete(aside.lane as string)
    else if (first !== before) this.announce(first)
  }

  /** It is the first of its lane now. A dead letter stays there until it is redriven or discarded. */
  private announce(aside: KnownAside): void {
    if (aside.state !== 'dead') this.queue.add(aside)
  }
}
