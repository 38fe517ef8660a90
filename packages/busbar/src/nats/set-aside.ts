import type { KnownAside } from './asides.ts'
import { DueQueue } from './due-queue.ts'

/**
 * What is known to be set aside of one partition: what comes due when, and which keys wait. Of a lane (a key whose
 * messages are not to pass each other) only the first in the order of the log may go.
 */
export class SetAside {
  private readonly byEntry = new Map<string, KnownAside>()
  /** Each in the order of the log. */
  private readonly lanes = new Map<string, KnownAside[]>()
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
    const first = this.lanes.get(lane)?.[0]
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
    return first === undefined ? Infinity : Math.max(0, first.due - now)
  }

  /** Each is returned once. */
  takeDiscarded(): readonly KnownAside[] {
    return this.discarded.splice(0)
  }

  private isNext(aside: KnownAside): boolean {
    if (this.byEntry.get(aside.entry) !== aside) return false
    return aside.lane === undefined || this.lanes.get(aside.lane)?.[0] === aside
  }

  private enterLane(aside: KnownAside, name: string): void {
    const lane = this.lanes.get(name) ?? []
    this.lanes.set(name, lane)
    const at = placeIn(lane, aside)
    lane.splice(at, lane[at]?.entry === aside.entry ? 1 : 0, aside)
    if (at === 0) this.announce(aside)
  }

  private leaveLane(aside: KnownAside): void {
    const lane = aside.lane === undefined ? undefined : this.lanes.get(aside.lane)
    if (lane === undefined) return
    const at = placeIn(lane, aside)
    if (lane[at]?.entry !== aside.entry) return
    lane.splice(at, 1)
    if (lane.length === 0) this.lanes.delete(aside.lane as string)
    else if (at === 0) this.announce(lane[0] as KnownAside)
  }

  /** It is the first of its lane now. A dead letter stays there until it is redriven or discarded. */
  private announce(aside: KnownAside): void {
    if (aside.state !== 'dead') this.queue.add(aside)
  }
}

function originOf({ origin = 0 }: KnownAside): number {
  return origin
}

/** Where it is in the lane, or belongs. */
function placeIn(lane: readonly KnownAside[], aside: KnownAside): number {
  let [from, to] = [0, lane.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (originOf(lane[middle] as KnownAside) < originOf(aside)) from = middle + 1
    else to = middle
  }
  return from
}
