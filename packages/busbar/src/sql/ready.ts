import { performance } from 'node:perf_hooks'
import type { OwnedPartition } from './partition.ts'
import type { PumpHost } from './pump-host.ts'

/** Which partitions are next: those that have something to hand out, in turns. */
export class Ready {
  private readonly host: PumpHost
  private rotation = 0
  /** The last of which messages were taken that were in memory. */
  private filled: OwnedPartition | undefined
  /** The turn before was not for what was read ahead. */
  private turned = false

  constructor(host: PumpHost) {
    this.host = host
  }

  get any(): boolean {
    for (const partition of this.host.owned()) if (this.isReady(partition)) return true
    return false
  }

  /** Begins with another partition each time, so that a small window serves all. */
  next(quick: boolean): OwnedPartition[] {
    const ready = this.host.owned().filter((partition) => this.isReady(partition))
    if (ready.length === 0) return []
    const own = ready.filter((one) => this.hasOwnWork(one))
    const read = ready.filter((one) => one.ahead.length > 0 && !own.includes(one))
    if (read.length > 0) {
      // In turns, so that neither waits for ever.
      this.turned = own.length > 0 && !this.turned
      if (this.turned) return own
      const few = this.filling(read, this.host.window.room)
      this.filled = few.at(-1)
      return few
    }
    const { worthAFetch } = this.host.context.dialect
    const first = this.rotation % ready.length
    const few = quick && worthAFetch ? Math.ceil(this.host.window.room / worthAFetch) : ready.length
    this.rotation = (first + (few < ready.length ? few : 1)) % ready.length
    return [...ready.slice(first), ...ready.slice(0, first)].slice(0, few)
  }

  /** What is handed out next as it looks, as far as it is here. */
  prepare(room: number): void {
    const read = this.host.owned().filter(({ ahead }) => ahead.length > 0)
    for (const { ahead } of this.filling(read, room)) ahead.prepare(room)
  }

  /** As many of those with messages in memory as fill the room: one to its end and then the next, so that few cursors are stored. */
  private filling(read: readonly OwnedPartition[], room: number): OwnedPartition[] {
    const owned = this.host.owned()
    const first = this.filled === undefined ? 0 : Math.max(0, owned.indexOf(this.filled))
    const few: OwnedPartition[] = []
    let there = 0
    for (const one of [...owned.slice(first), ...owned.slice(0, first)]) {
      if (there >= room) break
      if (!read.includes(one)) continue
      few.push(one)
      there += one.ahead.length
    }
    return few
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
    if (partition.nextSuspect <= now && window.mayRunBlamed) return true
    const [first] = partition.backlog
    if (first === undefined) return false
    if (!first.suspect) return true
    return !window.waits(partition) && (first.crashes > 0 ? window.mayRunBlamed : window.mayRunSuspect)
  }
}
