import type { JsMsg } from '@nats-io/jetstream'
import type { Verdict } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import { type Asides, type KnownAside } from './asides.ts'
import { pauseAfter } from './backoff.ts'
import type { NatsContext } from './context.ts'
import { Cursor, FencedError } from './cursor.ts'
import { HandedOut, isUnsettled } from './delivery.ts'
import { Follower } from './follower.ts'
import { afterCrash, type OpenItem } from './open-list.ts'
import { storeVerdict, type ToStore } from './settling.ts'
import type { Topic } from './topology.ts'
import { foreign, fromWire } from './wire.ts'
import type { Window } from './window.ts'
import type { NatsDeadLetters } from './dead-letters.ts'

/** Milliseconds after which what has settled is stored, where nothing more is fetched. */
const FLUSH_AFTER = 4
/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** What a partition needs of the member that owns it. */
export interface PartitionHost {
  readonly context: NatsContext
  readonly group: string
  readonly id: string
  readonly prefetch: number
  readonly window: Window
  readonly asides: Asides
  readonly deadLetters: NatsDeadLetters
  /** The member is sure of its leases. */
  readonly alive: boolean
  /** Something settled. */
  settled(partition: OwnedPartition): void
  /** The partition is not ours any more. */
  lost(partition: OwnedPartition): void
}

/**
 * A partition that a member owns: reads its log, hands out, and stores what becomes of it. Whatever it writes it writes in
 * turns, one after another: verdicts first, then the cursor that names all that is about to be handed out.
 */
export class OwnedPartition {
  readonly topic: Topic
  readonly partition: number
  /** Nothing more is handed out; it is released when what is out has settled. */
  draining = false
  /** Another member has it, or it was released: nothing of it may be written any more. */
  lost = false

  private readonly host: PartitionHost
  private readonly cursor: Cursor
  private readonly known = new Map<string, KnownAside>()
  private readonly incoming = new Fifo<JsMsg>()
  private readonly open = new Set<HandedOut>()
  private backlog: OpenItem[] = []
  private position = 0
  private toStore: ToStore[] = []
  private acked = 0
  private dirty = false
  private waiters: (() => void)[] = []
  private followers: Follower[] = []
  private roomAhead: (() => void) | undefined
  private turn: Promise<void> | undefined
  private again = false
  /** For what has settled, and for what comes due. */
  private flushTimer: NodeJS.Timeout | undefined
  private dueTimer: NodeJS.Timeout | undefined
  private failures = 0
  private retryAt = 0

  constructor(host: PartitionHost, topic: Topic, partition: number) {
    this.host = host
    this.topic = topic
    this.partition = partition
    this.cursor = new Cursor(host.context, host.context.names.cursor(host.group, topic.name, partition))
  }

  /** Takes over from the owner before, whose writes are refused from here on. False: somebody was quicker. */
  async start(): Promise<boolean> {
    const { context, group, id, prefetch } = this.host
    const { names } = context
    for (;;) {
      const found = await this.cursor.read()
      if (found === undefined) return false
      this.position = found.position
      this.backlog = found.owner === '' ? [...found.open] : afterCrash(found.open)
      try {
        await this.cursor.write({ owner: id, position: this.position, open: this.backlog })
        break
      } catch (error) {
        if (!(error instanceof FencedError)) throw error
      }
    }
    const aside = names.asideEntry(group, this.topic.name, this.partition, '*')
    const { follower, ready } = await Follower.open(
      context,
      { stream: names.aside, filter: aside, from: 'latest-of-each', headersOnly: true, ahead: 100 },
      (message) => this.learn(message),
    )
    this.followers.push(follower)
    await ready
    this.backlog = this.backlog.filter((item) => this.isStillOpen(item))
    const log = names.log(this.topic.name, this.partition)
    const ahead = Math.min(512, Math.max(4, prefetch))
    const reading = await Follower.open(
      context,
      { stream: this.topic.stream, filter: log, from: this.position + 1, ahead },
      (message) => this.arrive(message, ahead),
    )
    this.followers.push(reading.follower)
    if (this.lost) await this.close()
    this.wake()
    return !this.lost
  }

  get busy(): boolean {
    for (const delivery of this.open) if (isUnsettled(delivery)) return true
    return false
  }

  get load(): number {
    return this.open.size
  }

  get inFlight(): number {
    let count = 0
    for (const delivery of this.open) if (isUnsettled(delivery)) count++
    return count
  }

  /** Asks for a turn. Many calls, one turn. */
  wake(): void {
    if (this.lost) return
    if (this.turn !== undefined) {
      this.again = true
      return
    }
    this.turn = this.run().finally(() => {
      this.turn = undefined
      if (this.again) {
        this.again = false
        this.wake()
      }
    })
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    await this.turn
    while (this.dirty && !this.lost && this.failures === 0) {
      this.wake()
      await this.turn
    }
  }

  /** Gives the partition up, clean: what is open then is given back and not suspect. */
  async release(): Promise<void> {
    while (this.turn !== undefined) await this.turn
    if (this.lost) return
    // What is out has begun, and will not end with us.
    for (const delivery of this.open) if (isUnsettled(delivery)) delivery.begun++
    const open = this.openList().map((item) => ({ ...item, started: false }))
    try {
      await this.cursor.write({ owner: '', position: this.position, open })
    } finally {
      await this.lose()
    }
  }

  /** It is not ours any more: whoever still works on something of it is told. */
  async lose(): Promise<void> {
    if (this.lost) return
    this.lost = true
    clearTimeout(this.flushTimer)
    clearTimeout(this.dueTimer)
    let free = this.acked
    for (const delivery of this.open) {
      delivery.abort()
      if (delivery.state !== 'out') free++
    }
    this.acked = 0
    this.host.window.leave(free)
    this.resolveWaiters(this.waiters)
    await this.close()
  }

  private async close(): Promise<void> {
    this.roomAhead?.()
    await Promise.all(this.followers.splice(0).map((follower) => follower.close()))
  }

  private learn(message: JsMsg): void {
    const aside = this.host.asides.known(message)
    if (aside === undefined || (this.known.get(aside.entry)?.seq ?? 0) >= aside.seq) return
    this.known.set(aside.entry, aside)
    this.wake()
  }

  private arrive(message: JsMsg, ahead: number): void | Promise<void> {
    this.incoming.push(message)
    this.wake()
    if (this.incoming.length < ahead || this.lost) return undefined
    return new Promise((resolve) => {
      this.roomAhead = resolve
    })
  }

  /** Not set aside, and not settled, before its owner could write so. */
  private isStillOpen({ seq, entry }: OpenItem): boolean {
    return entry === undefined ? !this.known.has(`l${seq}`) : this.known.get(entry)?.seq === seq
  }

  private async run(): Promise<void> {
    const wait = this.retryAt - performance.now()
    if (wait > 0) return this.later(wait)
    if (!this.host.alive) return this.giveUp()
    try {
      await this.storeVerdicts()
      await this.advance()
      this.failures = 0
    } catch (error) {
      if (error instanceof FencedError) return this.giveUp()
      const pause = pauseAfter(++this.failures)
      this.retryAt = performance.now() + pause
      this.dirty = true
      this.later(pause)
      const fields = { group: this.host.group, topic: this.topic.name, partition: this.partition, err: String(error) }
      this.host.context.logger.error(fields, 'cannot read from or write to the server: trying again')
    }
  }

  private giveUp(): void {
    void this.lose()
    this.host.lost(this)
  }

  private later(ms: number): void {
    if (this.lost) return
    clearTimeout(this.dueTimer)
    this.dueTimer = setTimeout(() => this.wake(), Math.min(ms, 2 ** 31 - 1))
  }

  private async storeVerdicts(): Promise<void> {
    const batch = this.toStore
    if (batch.length === 0) return
    this.toStore = []
    const { host, partition, topic } = this
    const at = { group: host.group, topic: topic.name, partition }
    const results = await Promise.allSettled(batch.map((one) => storeVerdict(host, at, one)))
    let failure: unknown
    for (const [index, result] of results.entries()) {
      const one = batch[index] as ToStore
      if (result.status === 'rejected') {
        failure = result.reason
        this.toStore.push(one)
        continue
      }
      const { aside } = one.delivery
      if (aside !== undefined && this.known.get(aside.entry)?.seq === aside.seq) this.known.delete(aside.entry)
      const stored = result.value
      if (stored !== undefined && (this.known.get(stored.entry)?.seq ?? 0) < stored.seq)
        this.known.set(stored.entry, stored)
      this.finish(one.delivery)
    }
    if (failure === undefined) return
    // What could be stored is settled, whatever becomes of the others.
    await this.advance()
    throw failure
  }

  private async advance(): Promise<void> {
    if (this.lost) return
    const { window, id } = this.host
    const { acked } = this
    this.acked = 0
    window.leave(acked)
    const fresh: HandedOut[] = []
    if (window.handing && !this.draining) {
      await this.takeDue(fresh)
      await this.takeBacklog(fresh)
      this.takeLog(fresh)
    }
    for (const delivery of fresh) this.open.add(delivery)
    if (fresh.length > 0 || this.dirty) {
      const { waiters } = this
      this.dirty = false
      await this.cursor.write({ owner: id, position: this.position, open: this.openList() })
      this.resolveWaiters(waiters)
    }
    // Also what an earlier turn could not write.
    for (const delivery of this.open) if (delivery.state === 'held') this.handOut(delivery)
    this.planNext()
  }

  /** What was set aside and is due. */
  private async takeDue(fresh: HandedOut[]): Promise<void> {
    if (this.known.size === 0) return
    const now = Date.now()
    const out = new Set([...this.open].map((delivery) => delivery.aside?.entry))
    for (const item of this.backlog) out.add(item.entry)
    const due = [...this.known.values()].filter((aside) => aside.due <= now && !out.has(aside.entry))
    const taken: KnownAside[] = []
    for (const aside of due.toSorted((a, b) => a.due - b.due || a.seq - b.seq)) {
      if (!this.host.window.enter(this)) break
      taken.push(aside)
    }
    fresh.push(...(await this.readAsides(taken, () => ({}))))
  }

  private async readAsides(
    asides: readonly KnownAside[],
    more: (aside: KnownAside) => Partial<OpenItem>,
  ): Promise<HandedOut[]> {
    const { topic, partition, host } = this
    const read = await Promise.allSettled(asides.map((aside) => host.asides.read(aside.seq)))
    const found: HandedOut[] = []
    let failure: unknown
    let gone = 0
    for (const [index, result] of read.entries()) {
      const aside = asides[index] as KnownAside
      if (result.status === 'rejected') {
        failure = result.reason
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
        found.push(new HandedOut(result.value, from, this.began))
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
      if (!window.enter(this)) return
      let delivery: HandedOut | undefined
      if (item.entry === undefined) {
        const stored = await context.jsm.streams
          .getMessage(this.topic.stream, { seq: item.seq })
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
      this.dirty = true
      if (delivery !== undefined) fresh.push(delivery)
    }
  }

  private takeLog(fresh: HandedOut[]): void {
    if (this.backlog.length > 0 || this.suspectOut(fresh)) return
    while (this.incoming.length > 0 && this.host.window.enter(this)) {
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
    const { partition, topic } = this
    const { attempts = 0, crashes = 0, suspect = false } = item ?? {}
    const from = { topic: topic.name, partition, seq, attempts, crashes, suspect }
    try {
      return new HandedOut(fromWire(headers, data), from, this.began)
    } catch (error) {
      const message = foreign(topic.name, `${partition}@${seq}`, data)
      return new HandedOut(message, { ...from, unreadable: error as Error }, this.began)
    }
  }

  private suspectOut(fresh: readonly HandedOut[]): boolean {
    const recent = performance.now() - 1_000
    for (const one of this.open) if (one.suspect && isUnsettled(one) && one.since > recent) return true
    return fresh.some((one) => one.suspect)
  }

  private handOut(delivery: HandedOut): void {
    const { window, group } = this.host
    if (this.lost || this.draining || !window.handing || delivery.state !== 'held') return
    if (delivery.unreadable === undefined) return window.handOut(delivery, this.settle)
    const now = Date.now()
    const { name, message } = delivery.unreadable
    delivery.state = 'out'
    const failure = {
      reason: 'undecodable',
      error: { name, message },
      handler: group,
      attempts: 0,
      firstFailedAt: now,
      lastFailedAt: now,
    } as const
    this.settle(delivery, { deadLetter: failure })
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if (!this.lost && !this.host.alive) this.giveUp()
    if (this.lost) {
      delivery.state = 'done'
      this.open.delete(delivery)
      this.host.window.leave(1)
    } else if ('ack' in verdict && delivery.aside === undefined) {
      this.finish(delivery)
    } else if ('release' in verdict) {
      this.released(delivery)
    } else {
      delivery.state = 'storing'
      this.toStore.push({ delivery, verdict })
      this.wake()
    }
    this.host.settled(this)
    if (this.dirty && !this.lost) this.flushSoon()
  }

  /** It stays where it is in the line, and goes out again. */
  private released(delivery: HandedOut): void {
    delivery.state = 'held'
    this.dirty = true
    setTimeout(() => {
      this.handOut(delivery)
    }, RELEASE_PAUSE)
  }

  private finish(delivery: HandedOut): void {
    if (delivery.state === 'done') return
    delivery.state = 'done'
    this.open.delete(delivery)
    this.acked++
    this.dirty = true
    this.host.settled(this)
  }

  private flushSoon(): void {
    const { window } = this.host
    if (this.incoming.length > 0 || this.backlog.length > 0 || window.wanted || window.full) return this.wake()
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined
      this.wake()
    }, FLUSH_AFTER)
  }

  /** Wakes when the next message set aside is due, or a suspect may have become harmless. */
  private planNext(): void {
    if (this.lost) return
    if (this.dirty) return this.flushSoon()
    let next = Infinity
    const now = Date.now()
    for (const aside of this.known.values()) if (aside.due > now) next = Math.min(next, aside.due - now)
    if (this.backlog.length > 0) next = Math.min(next, 50)
    if (next < Infinity) this.later(next)
  }

  private readonly began = (delivery: HandedOut, attempts: number): void | Promise<void> => {
    if (this.lost || delivery.state !== 'out' || attempts <= delivery.begun) return undefined
    delivery.begun = attempts
    this.dirty = true
    return new Promise((resolve) => {
      this.waiters.push(resolve)
      this.wake()
    })
  }

  private resolveWaiters(waiters: readonly (() => void)[]): void {
    this.waiters = this.waiters.filter((waiter) => !waiters.includes(waiter))
    for (const waiter of waiters) waiter()
  }

  private openList(): OpenItem[] {
    const items: OpenItem[] = []
    for (const delivery of this.open) {
      const { aside, seq, begun, crashes, suspect } = delivery
      const place = aside === undefined ? { seq: seq ?? 0 } : { seq: aside.seq, entry: aside.entry }
      items.push({ ...place, attempts: begun, crashes, suspect, started: suspect })
    }
    return [...items, ...this.backlog]
  }
}
