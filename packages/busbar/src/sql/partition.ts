import { Ahead } from './ahead.ts'
import type { Failure, Redeliver } from '../broker/index.ts'
import type { Dialect, Position } from './dialect.ts'
import { type DeliveryOwner, type HandedOut, isUnsettled } from './delivery.ts'
import type { LeaseName } from './batched.ts'
import type { Values } from './executor.ts'
import type { Claim } from './leases.ts'
import { encodeOpen, type OpenItem } from './open-list.ts'
import type { Topic } from './topics.ts'

/** What has to be stored before a delivery is settled. */
export type Settlement =
  | { readonly what: 'ack' | 'release' | 'park' }
  | { readonly what: 'redeliver'; readonly redeliver: Redeliver }
  | { readonly what: 'deadLetter'; readonly failure: Failure }

export interface ToStore {
  readonly delivery: HandedOut
  readonly settlement: Settlement
}

/** Messages of one key: one at a time, because if it fails those behind it must not have begun. */
export interface Lane {
  head: HandedOut
  readonly waiting: HandedOut[]
}

/** What a member has in memory of one partition that it owns. */
export class OwnedPartition implements LeaseName, DeliveryOwner {
  readonly group: string
  readonly topic: Topic
  readonly partition: number
  readonly token: number
  /** Messages up to here have been handed out, or are in `backlog`. */
  position: Position
  /** Taken over and not read again yet, in order: they come before the log goes on. */
  backlog: OpenItem[]
  /** Comes after `position` and the backlog. */
  readonly ahead: Ahead
  /** Up to here the log has been read. */
  readTo: Position
  /** The log is being read on from there. */
  reading = false
  /** From the log and not settled, in order. */
  readonly line: HandedOut[] = []
  /** From those set aside, and not settled. */
  readonly aside = new Set<HandedOut>()
  /** Verdicts to be stored. */
  toStore: ToStore[] = []
  /** When storing failed: not again before this, by `performance.now()`. */
  storeAgainAt = 0
  storeFailures = 0
  /** A fetch failed, and it is not known whether its commit came through: what it has handed out nobody has. */
  uncertain = false
  /** The stored cursor differs from what is true. */
  dirty = false
  /** Those who wait until the cursor is stored. */
  storedWaiters: (() => void)[] = []
  /** There may be more in the log. */
  more = true
  /** Looks in a row that found only what cannot be read yet; and not again before this, by `performance.now()`. */
  waits = 0
  readAgainAt = 0
  /** Unix milliseconds. When something set aside is due. */
  nextDue = 0
  nextSuspect = 0
  /** Keys of which something is set aside, where failed keys park. */
  readonly blocked = new Set<string>()
  /** Keys of which one is with the handler and those that wait for it, where failed keys park. */
  readonly lanes = new Map<string, Lane>()
  /** Keys of which some came back unrun: those behind have to come back too, before any goes out again. */
  readonly returning = new Set<string>()
  /** Nothing more is handed out; it is released when what is out has settled. */
  draining = false
  /** Another member has it, or it was released: nothing of it may be written any more. */
  lost = false
  /** Unix milliseconds until which the lease is known to be ours. Raised by the heartbeat. */
  expires: number

  private readonly onBegan: () => void

  /** `onBegan`: something has to be stored soon, somebody waits for it. */
  constructor(claim: Claim, expires: number, onBegan: () => void) {
    this.expires = expires
    this.group = claim.group
    this.topic = claim.topic
    this.ahead = new Ahead(this, claim.topic.name)
    this.partition = claim.partition
    this.token = claim.token
    this.position = this.readTo = claim.position
    this.backlog = [...claim.open]
    this.onBegan = onBegan
  }

  /** A process that was busy for longer than the lease does not know yet whether another one has taken it. */
  get lapsed(): boolean {
    return this.lost || Date.now() >= this.expires
  }

  isReturning({ lane, entry }: HandedOut): boolean {
    return lane !== undefined && entry === undefined && this.returning.has(lane)
  }

  get name(): string {
    return `${this.topic.id}/${this.partition}`
  }

  place(delivery: HandedOut): string {
    return `${this.partition}@${String(delivery.origin)}`
  }

  began(delivery: HandedOut, attempts: number): void | Promise<void> {
    if (this.lost || delivery.state !== 'out' || attempts <= delivery.begun) return undefined
    delivery.begun = attempts
    return new Promise((resolve) => {
      this.storedWaiters.push(resolve)
      this.onBegan()
    })
  }

  /** The open list as it is now, with `fresh` about to be handed out and `without` about to leave the line. */
  openList(
    dialect: Dialect,
    change: {
      readonly fresh?: readonly HandedOut[]
      readonly backlog?: readonly OpenItem[]
      readonly without?: ReadonlySet<HandedOut>
    } = {},
  ): string {
    const { fresh = [], backlog = this.backlog, without } = change
    const items: OpenItem[] = []
    for (const delivery of this.line) {
      if (without?.has(delivery) === true) continue
      items.push(openItem(delivery, isUnsettled(delivery)))
    }
    for (const delivery of fresh) items.push(openItem(delivery, true))
    return encodeOpen(items.concat(backlog), dialect)
  }

  /** Everything in memory. */
  *all(): Iterable<HandedOut> {
    yield* this.line
    yield* this.aside
  }

  get load(): number {
    return this.line.length + this.aside.size
  }

  /** Is anything with the handler, or has a verdict that is not stored yet? */
  get busy(): boolean {
    for (const delivery of this.line) if (isUnsettled(delivery)) return true
    for (const delivery of this.aside) if (isUnsettled(delivery)) return true
    return false
  }

  keepAhead(rows: readonly Values[]): void {
    this.ahead.keep(rows)
    this.readTo = rows.at(-1)?.[0] ?? this.readTo
  }

  /** What was read ahead is read again. */
  dropAhead(): void {
    if (this.ahead.length > 0) this.more = true
    this.ahead.clear()
    this.readTo = this.position
  }

  /** It is settled, or not ours any more. */
  forget(delivery: HandedOut): void {
    if (delivery.entry !== undefined) {
      this.aside.delete(delivery)
      return
    }
    // Mostly the first, or close to it.
    const index = this.line.indexOf(delivery)
    if (index === 0) this.line.shift()
    else if (index > 0) this.line.splice(index, 1)
  }

  /** It is not ours any more: whoever still works on something of it is told. */
  lose(): void {
    this.lost = true
    this.ahead.clear()
    for (const delivery of this.all()) delivery.abort()
    this.resolveStored(this.storedWaiters)
  }

  resolveStored(waiters: readonly (() => void)[]): void {
    this.storedWaiters = this.storedWaiters.filter((waiter) => !waiters.includes(waiter))
    for (const waiter of waiters) waiter()
  }
}

function openItem(delivery: HandedOut, out: boolean): OpenItem {
  const { origin, begun, crashes, suspect } = delivery
  return { position: origin, attempts: begun, crashes, suspect, started: suspect && out }
}
