import type { JsMsg } from '@nats-io/jetstream'
import { SUSPECT_ALONE } from '../broker/blamed.ts'
import { Fifo } from '../broker/fifo.ts'
import { asideFrom, type KnownAside } from './asides.ts'
import { HandedOut, isUnsettled } from './delivery.ts'
import { Follower } from './follower.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import type { OpenItem } from './open-list.ts'
import { SetAside } from './set-aside.ts'
import { foreign, fromWire } from './wire.ts'

/**
 * What may be handed out next of one partition, in this order: what was set aside and is due, what an owner before had
 * open, the log. Reads ahead a little of the log, and keeps only headers of what is set aside.
 */
export class Intake {
  readonly known = new SetAside()
  /** Taken over and not handed out yet, in order. */
  backlog: OpenItem[] = []
  /** Up to here the log has been taken. */
  position = 0

  private readonly host: PartitionHost
  private readonly owner: PartitionView
  private readonly incoming = new Fifo<JsMsg>()
  private readonly followers: Follower[] = []
  private roomAhead: (() => void) | undefined
  /** What was due found no place in the window, which wakes us when it has one. */
  private refused = false
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
    const asides = await Follower.open(
      context,
      { stream: names.aside, filter: aside, from: 'latest-of-each', headersOnly: true, ahead: 100 },
      (message) => this.learn(message),
    )
    this.followers.push(asides)
    await asides.ready()
    this.backlog = this.backlog.filter((item) => this.isStillOpen(item))
    const log = names.log(topic.name, partition)
    const ahead = Math.min(512, Math.max(4, prefetch))
    const reading = await Follower.open(
      context,
      { stream: topic.stream, filter: log, from: this.position + 1, ahead },
      (message) => this.arrive(message, ahead),
    )
    this.followers.push(reading)
    if (this.closed) await this.close()
  }

  /** More is there than was taken. */
  get waiting(): boolean {
    return this.incoming.length > 0 || this.backlog.length > 0
  }

  /** Milliseconds until something comes due, or a suspect may have become harmless; Infinity: neither. */
  get nextDue(): number {
    const due = this.refused ? Infinity : Math.max(1, this.known.nextDue(Date.now()))
    return this.backlog.length > 0 ? Math.min(50, due) : due
  }

  /** Takes what there is room for. True: the open list has changed beyond what was taken. */
  async take(fresh: HandedOut[]): Promise<boolean> {
    const before = this.backlog.length
    await this.forgetDiscarded()
    await this.takeDue(fresh)
    await this.takeBacklog(fresh)
    this.takeLog(fresh)
    return this.backlog.length !== before
  }

  /** It was settled, or set aside again. */
  replaced(before: KnownAside | undefined, now: KnownAside | undefined): void {
    if (now !== undefined) this.known.learn(now)
    else if (before !== undefined) this.known.forget(before)
  }

  async close(): Promise<void> {
    this.closed = true
    this.roomAhead?.()
    await Promise.all(this.followers.splice(0).map((follower) => follower.close()))
  }

  private learn(message: JsMsg): void {
    const aside = asideFrom(message)
    if (aside !== undefined && this.known.learn(aside)) this.owner.wake()
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
    return entry === undefined ? this.known.get(`l${seq}`) === undefined : this.known.get(entry)?.seq === seq
  }

  /** What was set aside and is due. */
  private async takeDue(fresh: HandedOut[]): Promise<void> {
    const { window } = this.host
    let out: ReadonlySet<string | undefined> | undefined
    const mayGo = (aside: KnownAside): boolean => {
      out ??= new Set([...this.owner.open, ...this.backlog].map(entryOf))
      return !out.has(aside.entry) && this.isTurnOf(aside)
    }
    this.refused = false
    const taken = this.known.takeDue(Date.now(), mayGo, () => {
      this.refused = !window.enter(this.owner)
      return !this.refused
    })
    try {
      fresh.push(...(await this.readAsides(taken, () => ({}))))
    } catch (error) {
      this.known.putBack(taken)
      throw error
    }
  }

  /** Nothing that comes before it in its lane is in memory, or was open with the owner before. */
  private isTurnOf({ lane, origin = 0 }: KnownAside): boolean {
    if (lane === undefined) return true
    return !this.owner.isBusy(lane) && !this.backlog.some(({ entry, seq }) => entry === undefined && seq < origin)
  }

  private async forgetDiscarded(): Promise<void> {
    for (const note of this.known.takeDiscarded()) {
      await this.host.asides.remove(note.seq)
      this.known.forget(note)
    }
  }

  private async readAsides(
    asides: readonly KnownAside[],
    more: (aside: KnownAside) => Partial<OpenItem>,
  ): Promise<HandedOut[]> {
    if (asides.length === 0) return []
    const { host } = this
    const { topic, partition } = this.owner
    const at = { group: host.group, topic: topic.name, partition }
    const read = await Promise.allSettled(asides.map((aside) => host.asides.read(at, aside)))
    const found: HandedOut[] = []
    let failure: Error | undefined
    let gone = 0
    for (const [index, result] of read.entries()) {
      const aside = asides[index] as KnownAside
      if (result.status === 'rejected') {
        failure = result.reason as Error
        gone++
      } else if (result.value === undefined) {
        // A note may be left of it.
        if (aside.state !== undefined) await host.asides.remove(aside.seq)
        this.known.forget(aside)
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
        found.push(new HandedOut(result.value, from, this.owner))
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
    const { window } = this.host
    while (this.backlog.length > 0) {
      const item = this.backlog[0] as OpenItem
      if (item.suspect && (this.suspectOut(fresh) || !window.mayRun(item))) return
      if (!window.enter(this.owner)) return
      if (item.suspect) window.reserve(item)
      let delivery: HandedOut | undefined
      try {
        delivery = await this.readBacklog(item)
      } finally {
        window.forget(item)
      }
      if (delivery?.suspect === true) window.reserve(delivery)
      this.backlog.shift()
      if (delivery !== undefined) fresh.push(delivery)
    }
  }

  /** Gives its place in the window back where there is nothing any more. */
  private async readBacklog(item: OpenItem): Promise<HandedOut | undefined> {
    const { window, context } = this.host
    if (item.entry !== undefined) {
      const aside = this.known.get(item.entry)
      if (aside?.seq === item.seq) return (await this.readAsides([aside], () => item))[0]
      window.leave(1)
      return undefined
    }
    const stored = await context.jsm.streams
      .getMessage(this.owner.topic.stream, { seq: item.seq })
      .catch((error: unknown) => {
        window.leave(1)
        throw error
      })
    if (stored !== null) return this.fromLog(stored.header, stored.data, item.seq, item)
    window.leave(1)
    return undefined
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
    const { partition, topic } = this.owner
    const { attempts = 0, crashes = 0, suspect = false } = item ?? {}
    const { name, stream } = topic
    const from = { topic: name, partition, seq, stream, attempts, crashes, suspect }
    try {
      const message = fromWire(headers, data)
      return new HandedOut(message, { ...from, lane: this.host.parks ? message.key : undefined }, this.owner)
    } catch (error) {
      const message = foreign(name, `${partition}@${seq}`, data)
      return new HandedOut(message, { ...from, unreadable: error as Error }, this.owner)
    }
  }

  private suspectOut(fresh: readonly HandedOut[]): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const one of this.owner.open) if (one.suspect && isUnsettled(one) && one.since > recent) return true
    return fresh.some((one) => one.suspect)
  }
}

function entryOf({ aside, entry }: { readonly aside?: KnownAside | undefined; readonly entry?: string }) {
  return aside?.entry ?? entry
}
