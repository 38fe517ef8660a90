import type { JsMsg } from '@nats-io/jetstream'
import { Fifo } from '../broker/fifo.ts'
import type { KnownAside } from './asides.ts'
import { HandedOut, isUnsettled } from './delivery.ts'
import { Follower } from './follower.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import type { OpenItem } from './open-list.ts'
import { foreign, fromWire } from './wire.ts'

/** Milliseconds that a suspect holds up what comes after it; a longer run counts as harmless. */
const SUSPECT_ALONE = 1_000

/**
 * What may be handed out next of one partition, in this order: what was set aside and is due, what an owner before had
 * open, the log. Reads ahead a little of the log, and keeps only headers of what is set aside.
 */
export class Intake {
  /** Set aside, by entry. */
  readonly known = new Map<string, KnownAside>()
  /** Taken over and not handed out yet, in order. */
  backlog: OpenItem[] = []
  /** Up to here the log has been taken. */
  position = 0

  private readonly host: PartitionHost
  private readonly owner: PartitionView
  private readonly incoming = new Fifo<JsMsg>()
  private readonly followers: Follower[] = []
  private roomAhead: (() => void) | undefined
  private closed = false

  constructor(host: PartitionHost, owner: PartitionView) {
    this.host = host
    this.owner = owner
  }

  /** Follows what is set aside, then the log from `position` on. */
  async start(): Promise<void> {
    const { context, group, prefetch } = this.host
    const { topic, partition } = this.owner
    const { names } = context
    const aside = names.asideEntry(group, topic.name, partition, '*')
    const { follower, ready } = await Follower.open(
      context,
      { stream: names.aside, filter: aside, from: 'latest-of-each', headersOnly: true, ahead: 100 },
      (message) => this.learn(message),
    )
    this.followers.push(follower)
    await ready
    this.backlog = this.backlog.filter((item) => this.isStillOpen(item))
    const log = names.log(topic.name, partition)
    const ahead = Math.min(512, Math.max(4, prefetch))
    const reading = await Follower.open(
      context,
      { stream: topic.stream, filter: log, from: this.position + 1, ahead },
      (message) => this.arrive(message, ahead),
    )
    this.followers.push(reading.follower)
    if (this.closed) await this.close()
  }

  /** More is there than was taken. */
  get waiting(): boolean {
    return this.incoming.length > 0 || this.backlog.length > 0
  }

  /** Milliseconds until something comes due, or a suspect may have become harmless; Infinity: neither. */
  get nextDue(): number {
    const now = Date.now()
    let next = this.backlog.length > 0 ? 50 : Infinity
    for (const { due } of this.known.values()) if (due > now) next = Math.min(next, due - now)
    return next
  }

  /** Takes what there is room for. True: the open list has changed beyond what was taken. */
  async take(fresh: HandedOut[]): Promise<boolean> {
    const before = this.backlog.length
    await this.takeDue(fresh)
    await this.takeBacklog(fresh)
    this.takeLog(fresh)
    return this.backlog.length !== before
  }

  /** It was settled, or set aside again. */
  replaced(before: KnownAside | undefined, now: KnownAside | undefined): void {
    if (before !== undefined && this.known.get(before.entry)?.seq === before.seq) this.known.delete(before.entry)
    if (now !== undefined && (this.known.get(now.entry)?.seq ?? 0) < now.seq) this.known.set(now.entry, now)
  }

  async close(): Promise<void> {
    this.closed = true
    this.roomAhead?.()
    await Promise.all(this.followers.splice(0).map((follower) => follower.close()))
  }

  private learn(message: JsMsg): void {
    const aside = this.host.asides.known(message)
    if (aside === undefined || (this.known.get(aside.entry)?.seq ?? 0) >= aside.seq) return
    this.known.set(aside.entry, aside)
    this.owner.wake()
  }

  private arrive(message: JsMsg, ahead: number): void | Promise<void> {
    this.incoming.push(message)
    this.owner.wake()
    if (this.incoming.length < ahead || this.closed) return undefined
    return new Promise((resolve) => {
      this.roomAhead = resolve
    })
  }

  /** Not set aside, and not settled, before its owner could write so. */
  private isStillOpen({ seq, entry }: OpenItem): boolean {
    return entry === undefined ? !this.known.has(`l${seq}`) : this.known.get(entry)?.seq === seq
  }

  /** What was set aside and is due. */
  private async takeDue(fresh: HandedOut[]): Promise<void> {
    if (this.known.size === 0) return
    const now = Date.now()
    const out = new Set([...this.owner.open].map((delivery) => delivery.aside?.entry))
    for (const item of this.backlog) out.add(item.entry)
    const due = [...this.known.values()].filter((aside) => aside.due <= now && !out.has(aside.entry))
    const taken: KnownAside[] = []
    for (const aside of due.toSorted((a, b) => a.due - b.due || a.seq - b.seq)) {
      if (!this.host.window.enter(this.owner)) break
      taken.push(aside)
    }
    fresh.push(...(await this.readAsides(taken, () => ({}))))
  }

  private async readAsides(
    asides: readonly KnownAside[],
    more: (aside: KnownAside) => Partial<OpenItem>,
  ): Promise<HandedOut[]> {
    const { host } = this
    const { topic, partition, began } = this.owner
    const read = await Promise.allSettled(asides.map((aside) => host.asides.read(aside.seq)))
    const found: HandedOut[] = []
    let failure: Error | undefined
    let gone = 0
    for (const [index, result] of read.entries()) {
      const aside = asides[index] as KnownAside
      if (result.status === 'rejected') {
        failure = result.reason as Error
        gone++
      } else if (result.value === undefined) {
        if (this.known.get(aside.entry)?.seq === aside.seq) this.known.delete(aside.entry)
        gone++
      } else {
        const { attempts, crashes, suspect } = more(aside)
        const from = {
          topic: topic.name,
          partition,
          aside,
          attempts: attempts ?? 0,
          crashes: crashes ?? 0,
          suspect: suspect ?? false,
        }
        found.push(new HandedOut(result.value, from, began))
      }
    }
    host.window.leave(gone)
    if (failure !== undefined) {
      host.window.leave(found.length)
      throw failure
    }
    return found
  }

  /** What an owner before had open, in order: suspects alone. */
  private async takeBacklog(fresh: HandedOut[]): Promise<void> {
    const { window, context } = this.host
    while (this.backlog.length > 0) {
      const item = this.backlog[0] as OpenItem
      if (item.suspect && (this.suspectOut(fresh) || !window.mayRunSuspect)) return
      if (!window.enter(this.owner)) return
      let delivery: HandedOut | undefined
      if (item.entry === undefined) {
        const stored = await context.jsm.streams
          .getMessage(this.owner.topic.stream, { seq: item.seq })
          .catch((error: unknown) => {
            window.leave(1)
            throw error
          })
        if (stored !== null) delivery = this.fromLog(stored.header, stored.data, item.seq, item)
        else window.leave(1)
      } else {
        const aside = this.known.get(item.entry)
        if (aside?.seq === item.seq) [delivery] = await this.readAsides([aside], () => item)
        else window.leave(1)
      }
      this.backlog.shift()
      if (delivery !== undefined) fresh.push(delivery)
    }
  }

  private takeLog(fresh: HandedOut[]): void {
    if (this.backlog.length > 0 || this.suspectOut(fresh)) return
    while (this.incoming.length > 0 && this.host.window.enter(this.owner)) {
      const message = this.incoming.shift() as JsMsg
      this.position = message.seq
      fresh.push(this.fromLog(message.headers, message.data, message.seq))
    }
    if (this.incoming.length === 0) {
      this.roomAhead?.()
      this.roomAhead = undefined
    }
  }

  private fromLog(headers: JsMsg['headers'], data: Uint8Array, seq: number, item?: OpenItem): HandedOut {
    const { partition, topic, began } = this.owner
    const { attempts = 0, crashes = 0, suspect = false } = item ?? {}
    const from = { topic: topic.name, partition, seq, attempts, crashes, suspect }
    try {
      return new HandedOut(fromWire(headers, data), from, began)
    } catch (error) {
      const message = foreign(topic.name, `${partition}@${seq}`, data)
      return new HandedOut(message, { ...from, unreadable: error as Error }, began)
    }
  }

  private suspectOut(fresh: readonly HandedOut[]): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const one of this.owner.open) if (one.suspect && isUnsettled(one) && one.since > recent) return true
    return fresh.some((one) => one.suspect)
  }
}
