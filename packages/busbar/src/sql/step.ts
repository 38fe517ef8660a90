import type { SqlContext } from './context.ts'
import type { Cursor, Fetch, Next } from './batched.ts'
import { HandedOut } from './delivery.ts'
import type { Position } from './dialect.ts'
import type { Statements, Values } from './executor.ts'
import { holds } from './leases.ts'
import type { OpenItem } from './open-list.ts'
import type { OwnedPartition } from './partition.ts'
import { bodySize, messageAt } from './rows.ts'
import {
  advanceLane,
  asideOf,
  asideSize,
  countAttempts,
  due,
  markHanded,
  nextDue,
  setAside,
  unmark,
} from './set-aside.ts'

/** What may still be taken in one fetch, over all partitions. Counted down. */
export interface Budget {
  room: number
  bytes: number
  /** Suspects that may be handed out now. */
  suspects: number
  /** It may be one that a process has died with. */
  readonly blamed: boolean
}

export interface AdvanceOptions {
  /** Most messages for this partition. */
  readonly limit: number
  readonly budget: Budget
  /** Unix milliseconds to which the lease is renewed. */
  readonly expires: number
  readonly park: boolean
  /** A suspect of this partition is out: the log waits until it is through. */
  readonly waits: boolean
}

/** What one fetch found, to be taken over in memory once it is committed. */
export interface Advanced {
  readonly partition: OwnedPartition
  readonly lost: boolean
  /** What an earlier fetch left unclear is clear. */
  readonly certain: boolean
  readonly position: Position
  readonly backlog: OpenItem[]
  readonly fresh: readonly HandedOut[]
  readonly aside: readonly HandedOut[]
  readonly more: boolean
  /** There is more, which cannot be read yet. */
  readonly held: boolean
  readonly nextDue: number
  readonly nextSuspect: number
  /** Keys of which nothing is set aside any more. */
  readonly unblocked: readonly string[]
  /** Those who waited for the cursor that this stored. */
  readonly waiters: readonly (() => void)[]
}

/** Bounds the memory of one fetch, whatever the size of the messages. */
export function spend(budget: Budget, bytes: number): boolean {
  budget.bytes -= bytes
  return budget.bytes <= 0
}

/** What one partition takes of a fetch. */
export class Step {
  readonly partition: OwnedPartition
  /** Messages that may still be taken. */
  room: number
  lost = false
  /** More than the cursor was written. */
  wrote = false

  private readonly sql: Statements
  private readonly context: SqlContext
  private readonly options: AdvanceOptions
  private readonly now: number
  private fenced = false
  private certain = false
  private position: Position
  private backlog: OpenItem[]
  private more = false
  private held = false
  private nextDue: number
  private nextSuspect: number
  private waiters: readonly (() => void)[] = []
  private readonly fresh: HandedOut[] = []
  private readonly aside: HandedOut[] = []
  /** Keys that memory says are blocked: are they still? */
  private readonly lanes = new Map<string, boolean>()

  constructor(sql: Statements, context: SqlContext, partition: OwnedPartition, options: AdvanceOptions) {
    this.sql = sql
    this.context = context
    this.partition = partition
    this.options = options
    this.now = context.now()
    this.room = options.limit
    this.position = partition.position
    this.backlog = partition.backlog
    this.nextDue = partition.nextDue
    this.nextSuspect = partition.nextSuspect
  }

  async takeSetAside(): Promise<void> {
    const { partition, now } = this
    const { budget } = this.options
    this.room = Math.min(this.room, budget.room)
    if (partition.uncertain && (await this.fence())) {
      const known = [...partition.aside].map(({ entry }) => entry).filter((entry) => entry !== undefined)
      await unmark(this.sql, partition, known)
      this.certain = true
      this.nextDue = this.nextSuspect = 0
    }
    if (this.nextDue <= now && this.room > 0 && (await this.fence())) {
      const rows = await due(this.sql, partition, 'due', now, this.room, this.enoughAside)
      for (const row of rows) await this.takeAside(row, 1)
      this.nextDue = await nextDue(this.sql, partition, 'due')
    }
    if (this.nextSuspect <= now && this.room > 0 && budget.suspects > 0 && budget.blamed && (await this.fence())) {
      const rows = await due(this.sql, partition, 'suspect', now, 1, this.enoughAside)
      for (const row of rows) await this.takeAside(row, 2)
      budget.suspects -= rows.length
      this.nextSuspect = await nextDue(this.sql, partition, 'suspect')
    }
  }

  /** What an owner before had open, in order: many at a time, but suspects alone. */
  async takeBacklog(): Promise<void> {
    if (this.lost || this.room <= 0) return
    const [first] = this.backlog
    if (first === undefined) return
    const { budget, waits } = this.options
    if (first.suspect && (waits || budget.suspects <= 0 || (first.crashes > 0 && !budget.blamed))) return
    const end = this.backlog.findIndex((item) => item.suspect)
    const wanted = first.suspect ? 1 : Math.min(this.room, end < 0 ? this.backlog.length : end)
    const items = this.backlog.slice(0, wanted)
    const list = this.context.dialect.listOf(items.map((item) => item.position))
    const { topic, partition } = this.partition
    const rows = await this.sql.values(this.context.dialect.readAt, [topic.id, partition, list], this.enough)
    const found = new Map(rows.map((row) => [String(row[0]), row]))
    const last = String(rows.at(-1)?.[0])
    let taken = 0
    for (const item of items) {
      const row = found.get(String(item.position))
      taken++
      if (row !== undefined) await this.takeInLine(row, item)
      // Reading may have ended early, at the limit of bytes.
      if (budget.bytes <= 0 && String(item.position) === last) break
    }
    if (first.suspect) budget.suspects--
    this.backlog = this.backlog.slice(taken)
  }

  /** Nothing but the log is to be read and nothing but the cursor to be written. */
  get isPlain(): boolean {
    const { nextDue, nextSuspect, backlog, storedWaiters, blocked, uncertain } = this.partition
    if (uncertain) return false
    const parks = this.options.park && blocked.size > 0
    return nextDue > this.now && nextSuspect > this.now && backlog.length + storedWaiters.length === 0 && !parks
  }

  /** The cursor as it stands, before anything more is handed out. */
  standing(limit: number): Fetch {
    const { partition, position } = this
    const { dirty } = partition
    partition.dirty = false
    return {
      lease: partition,
      position,
      open: partition.openList(this.context.dialect),
      expires: this.options.expires,
      limit,
      dirty,
    }
  }

  /** Whether it goes on with its log, with at most `left` messages. */
  begins(left: number): boolean {
    const { more, reading, ahead } = this.partition
    if (this.lost || this.room <= 0 || !more || this.backlog.length > 0 || this.options.waits) return false
    // It is being read already, or was meanwhile.
    if (reading || ahead.length > 0) return false
    if (this.options.budget.bytes <= 0) return false
    this.room = Math.min(this.room, left)
    // Lowered before the read: what is published from here on raises it again.
    this.partition.more = false
    return true
  }

  /** Takes at most `left` of what was read ahead; gives how many. Of a plain step, which parks nothing. */
  takeAhead(left: number): number {
    const taken = this.partition.ahead.take(Math.min(this.room, left))
    for (const delivery of taken) this.takeFresh(delivery)
    this.position = taken.at(-1)?.origin ?? this.position
    return taken.length
  }

  async takeLog(next: Next): Promise<void> {
    for (const row of next.rows) {
      const asked = this.takeInLine(row, undefined)
      // Mostly there is nothing to wait for: a promise for each message would cost as much as taking it.
      if (asked !== undefined) await asked
    }
    this.position = next.rows.at(-1)?.[0] ?? this.position
    this.more = next.more
    this.held = next.held
  }

  /** What is to be stored of it, if anything. */
  async cursor(): Promise<Cursor | undefined> {
    const { partition, position, backlog, fresh } = this
    const { dialect } = this.context
    this.waiters = [...partition.storedWaiters]
    const changed = position !== partition.position || backlog !== partition.backlog || fresh.length > 0
    if (this.lost || !(changed || partition.dirty || this.waiters.length > 0)) return undefined
    partition.dirty = false
    if (this.waiters.length > 0) await this.storeAttempts()
    if (this.lost) return undefined
    const open = partition.openList(dialect, { fresh, backlog })
    return { lease: partition, position, open, expires: this.options.expires }
  }

  result(): Advanced {
    const { partition, lost, certain, position, backlog, fresh, aside, more, held, nextDue, nextSuspect, waiters } =
      this
    const unblocked = [...this.lanes].filter(([, blocked]) => !blocked).map(([lane]) => lane)
    return {
      partition,
      lost,
      certain,
      position,
      backlog,
      fresh,
      aside,
      more,
      held,
      nextDue,
      nextSuspect,
      waiters,
      unblocked,
    }
  }

  /** Runs of redeliveries that have begun since: those of the log are part of the open list. */
  private async storeAttempts(): Promise<void> {
    // Somebody waits for it because it must not be lost.
    this.wrote = true
    for (const delivery of this.partition.aside) {
      const { entry, begun } = delivery
      if (entry === undefined || begun === delivery.attempts || !(await this.fence())) continue
      await countAttempts(this.sql, entry, begun)
    }
  }

  private takeInLine(row: Values, item: OpenItem | undefined): void | Promise<void> {
    const { partition } = this
    const [position = null] = row
    const message = messageAt(row, 1)
    const delivery = new HandedOut(partition, message, partition.topic.name, {
      position,
      attempts: item?.attempts ?? 0,
      crashes: item?.crashes ?? 0,
      suspect: item?.suspect ?? false,
    })
    const { key } = message
    if (key !== undefined && this.options.park && partition.blocked.has(key)) return this.parkIfBlocked(delivery, key)
    this.takeFresh(delivery)
  }

  private takeFresh(delivery: HandedOut): void {
    this.fresh.push(delivery)
    this.took()
  }

  private async parkIfBlocked(delivery: HandedOut, lane: string): Promise<void> {
    if (!(await this.isBlocked(lane))) this.takeFresh(delivery)
    else if (await this.fence()) await this.park(delivery)
  }

  /** Something of its key is set aside. Another process may have discarded it since, so memory alone is not believed. */
  private async isBlocked(lane: string): Promise<boolean> {
    const known = this.lanes.get(lane)
    if (known !== undefined) return known
    if (!(await this.fence())) return true
    const { group, topic } = this.partition
    const blocked = await advanceLane(this.sql, group, topic.id, lane, this.now)
    this.lanes.set(lane, blocked)
    return blocked
  }

  private park(delivery: HandedOut): Promise<void> {
    return setAside(this.sql, parked(this.partition, delivery, this.now))
  }

  private async takeAside(row: Values, handed: 1 | 2): Promise<void> {
    const { partition } = this
    const { message, ...from } = asideOf(row)
    await markHanded(this.sql, from.entry, handed)
    this.aside.push(new HandedOut(partition, message, partition.topic.name, { ...from, suspect: handed === 2 }))
    this.took()
  }

  private took(): void {
    this.room--
    this.options.budget.room--
  }

  /** Whatever is written beside the cursor is written only by the owner of the lease. */
  private async fence(): Promise<boolean> {
    this.wrote = true
    if (!this.fenced && !this.lost) {
      this.fenced = await holds(this.sql, this.partition, this.options.expires)
      this.lost = !this.fenced
    }
    return this.fenced
  }

  private readonly enough = (row: Values): boolean => spend(this.options.budget, bodySize(row, 1))

  private readonly enoughAside = (row: Values): boolean => spend(this.options.budget, asideSize(row))
}

/** A message that has to wait behind an earlier one of its key. */
export function parked(partition: OwnedPartition, delivery: HandedOut, now: number): Parameters<typeof setAside>[1] {
  return {
    group: partition.group,
    topic: partition.topic.id,
    partition: partition.partition,
    state: 'parked',
    message: delivery.message,
    place: delivery.position,
    origin: delivery.origin,
    lane: delivery.lane,
    dueAt: null,
    attempts: delivery.begun,
    redeliveries: delivery.redeliveries,
    crashes: delivery.crashes,
    firstFailedAt: now,
    failure: {
      reason: 'parked',
      error: { name: 'Parked', message: 'waits behind an earlier message of the same key' },
      handler: partition.group,
      attempts: delivery.begun,
      firstFailedAt: now,
      lastFailedAt: now,
    },
  }
}
