import type { Verdict } from '../broker/index.ts'
import { type HandedOut, isUnsettled } from './delivery.ts'
import type { PartitionHost } from './host.ts'
import { Lanes } from './lanes.ts'
import type { OpenItem } from './open-list.ts'
import type { ToStore } from './settling.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** What a line needs of its partition. */
export interface LineOwner {
  readonly lost: boolean
  readonly draining: boolean
  /** Asked before a verdict counts: gives the partition up where its lease may have run out. */
  checkLease(): void
  /** Something of the key is set aside that was in the log before `seq`. */
  blocks(lane: string, seq: number): boolean
  /** Something settled, or is to be stored: `soon`, because it counts only then. */
  changed(soon: boolean): void
}

/** The deliveries of one partition that are in memory: hands them out, and takes their verdicts. */
export class Line {
  /** Not settled. */
  readonly open = new Set<HandedOut>()
  /** What counts only when it is stored. */
  toStore: ToStore[] = []
  /** Settled, and still counted in the window. */
  acked = 0

  private readonly host: PartitionHost
  private readonly owner: LineOwner
  private readonly lanes = new Lanes()

  constructor(host: PartitionHost, owner: LineOwner) {
    this.host = host
    this.owner = owner
  }

  /** With the handler, or with a verdict that is not stored yet. */
  get unsettled(): number {
    let count = 0
    for (const delivery of this.open) if (isUnsettled(delivery)) count++
    return count
  }

  isBusy(lane: string): boolean {
    return this.lanes.has(lane)
  }

  handOut(delivery: HandedOut): void {
    const { window, group } = this.host
    if (this.owner.lost || this.owner.draining || !window.handing || delivery.state !== 'held') return
    if (!this.mayGo(delivery)) return
    if (delivery.unreadable === undefined) return window.handOut(delivery, this.settle)
    const now = Date.now()
    const { name, message } = delivery.unreadable
    delivery.state = 'out'
    const at = { attempts: 0, firstFailedAt: now, lastFailedAt: now }
    this.settle(delivery, { deadLetter: { reason: 'undecodable', error: { name, message }, handler: group, ...at } })
  }

  /** It is settled, and stored where that counts. */
  finish(delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    this.open.delete(delivery)
    this.acked++
    const next = delivery.seq === undefined ? undefined : this.lanes.settled(delivery)
    if (next !== undefined) {
      next.state = 'held'
      // A handler that answers at once would call itself for each that waits.
      queueMicrotask(() => this.handOut(next))
    }
    this.owner.changed(false)
  }

  /** The partition is not ours any more. What is still with its handler keeps its place in the window until then. */
  abort(): void {
    let free = this.acked
    for (const delivery of this.open) {
      delivery.abort()
      this.host.window.forget(delivery)
      if (delivery.state !== 'out') free++
    }
    this.acked = 0
    this.host.window.leave(free)
  }

  openList(): OpenItem[] {
    return [...this.open].map(({ aside, seq, begun, crashes, suspect }) => {
      const place = aside === undefined ? { seq: seq ?? 0 } : { seq: aside.seq, entry: aside.entry }
      return { ...place, attempts: begun, crashes, suspect, started: suspect }
    })
  }

  /** Where failed keys park: one of a key at a time, and none behind one that is set aside. */
  private mayGo(delivery: HandedOut): boolean {
    const { seq } = delivery
    if (seq === undefined) return true
    const may = this.lanes.enter(delivery, (lane) => this.owner.blocks(lane, seq))
    if (may === 'wait') delivery.state = 'queued'
    if (may === 'park') this.store({ delivery, verdict: { park: true } })
    return may === 'go'
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    this.owner.checkLease()
    if (this.owner.lost) {
      delivery.state = 'done'
      this.open.delete(delivery)
      this.host.window.leave(1)
      return this.owner.changed(false)
    }
    if ('ack' in verdict && delivery.aside === undefined) return this.finish(delivery)
    if ('release' in verdict) return this.released(delivery)
    this.store({ delivery, verdict })
    const behind = delivery.seq === undefined ? [] : this.lanes.leave(delivery)
    for (const one of behind) this.store({ delivery: one, verdict: { park: true } })
  }

  private store(one: ToStore): void {
    one.delivery.state = 'storing'
    this.toStore.push(one)
    this.owner.changed(true)
  }

  /** It stays where it is in the line, and goes out again. */
  private released(delivery: HandedOut): void {
    delivery.state = 'held'
    setTimeout(() => this.handOut(delivery), RELEASE_PAUSE)
    this.owner.changed(false)
  }
}
