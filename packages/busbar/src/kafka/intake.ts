import { DueQueue } from '../broker/due-queue.ts'
import { Fifo } from '../broker/fifo.ts'
import { type Aside, asideOf } from './asides.ts'
import type { OpenItem } from './cursor.ts'
import type { Source } from './fetcher.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import { LATEST, listOffsets } from './offsets.ts'
import type { LogRecord } from './records.ts'

/** Records read ahead of a partition at least, so that a small window does not wait for each fetch. */
const AHEAD = 32
/** Milliseconds for which the topic of what is set aside is looked for before it is made anew. */
const PATIENCE = 5_000
/** Redrives remembered after they are settled, so that one that was asked for twice is handed out once. */
const REMEMBERED = 10_000

/** What may be handed out next of the log. */
export interface Next {
  readonly record: LogRecord
  /** It was open when the partition was taken over. */
  readonly item: OpenItem | undefined
}

/** Reads the log and what is set aside of one partition. Of the latter it keeps only what is needed to find it again. */
export class Intake {
  /** Set aside and not settled, by entry. */
  readonly known = new Map<string, Aside>()
  /** Of the log, taken over open and not handed out yet, in order. */
  backlog: OpenItem[] = []
  /** Up to here the log was handed out before it was taken over. */
  inherited = 0
  /** Next of the log to be handed out. */
  position = 0
  /** Of what is set aside, taken over open; by offset. */
  readonly inheritedAsides = new Map<number, OpenItem>()

  private readonly host: PartitionHost
  private readonly owner: PartitionView
  private readonly incoming = new Fifo<LogRecord>()
  private readonly redriven = new Set<string>()
  private readonly later = new DueQueue<Aside>()
  private readonly ready = new Map<string, Aside>()
  private log: Source | undefined
  private retries: Source | undefined

  constructor(host: PartitionHost, owner: PartitionView) {
    this.host = host
    this.owner = owner
  }

  /** Where what is set aside of this partition is stored. */
  get asidePlace(): { readonly topic: string; readonly partition: number } {
    const { topic, partition } = this.owner
    return { topic: this.host.context.names.retry(this.host.group, topic.name), partition }
  }

  /** Resolves when all that is set aside is known; then the log is read from `position` on. */
  async start(): Promise<void> {
    const { host, owner } = this
    if (this.retries !== undefined) return
    const { cluster, topology } = host.context
    // Another program may have deleted the group meanwhile, and its topic with it.
    await topology.ensureRetries(host.group, owner.topic)
    const { topic, partition } = this.asidePlace
    const until = performance.now() + PATIENCE
    const end = (await listOffsets(cluster, topic, [partition], LATEST, until)).get(partition) ?? 0
    await new Promise<void>((resolve) => {
      const retries: Source = {
        topic,
        partition,
        offset: 0,
        wanted: true,
        accept: (records) => {
          for (const record of records) this.learn(record)
          if (retries.offset >= end) resolve()
          owner.wake()
        },
      }
      this.retries = retries
      host.fetcher.add(retries)
      if (end === 0) resolve()
      this.giveUp = resolve
    })
    this.backlog = this.backlog.filter(({ offset }) => !this.known.has(`l${offset}`))
    const live = new Set([...this.known.values()].map(({ offset }) => offset))
    for (const offset of this.inheritedAsides.keys()) if (!live.has(offset)) this.inheritedAsides.delete(offset)
  }

  private giveUp: (() => void) | undefined

  readLog(): void {
    const { host, owner, incoming } = this
    const ahead = Math.max(AHEAD, host.window.prefetch)
    this.log = {
      topic: owner.topic.log,
      partition: owner.partition,
      offset: this.backlog[0]?.offset ?? Math.max(this.position, this.inherited),
      get wanted() {
        return incoming.length < ahead
      },
      accept: (records) => {
        for (const record of records) incoming.push(record)
        owner.wake()
      },
    }
    host.fetcher.add(this.log)
  }

  close(): void {
    if (this.log !== undefined) this.host.fetcher.remove(this.log)
    if (this.retries !== undefined) this.host.fetcher.remove(this.retries)
    this.giveUp?.()
  }

  /** The next of the log, which stays where it is; what was settled before is passed over. */
  peek(): Next | undefined {
    for (let record = this.incoming.peek(); record !== undefined; record = this.incoming.peek()) {
      const { offset } = record
      while ((this.backlog[0]?.offset ?? Infinity) < offset) this.backlog.shift()
      const item = this.backlog[0]?.offset === offset ? this.backlog[0] : undefined
      if (item !== undefined || offset >= this.inherited) return { record, item }
      this.incoming.shift()
      this.position = offset + 1
    }
    // What is no message, such as the marks of transactions, is passed over too.
    const read = this.log?.offset ?? 0
    while ((this.backlog[0]?.offset ?? Infinity) < read) this.backlog.shift()
    this.position = Math.max(this.position, Math.min(read, this.backlog[0]?.offset ?? Infinity))
    return undefined
  }

  /** Takes what `peek` has told. */
  shift({ record, item }: Next): void {
    this.incoming.shift()
    if (item !== undefined) this.backlog.shift()
    this.position = record.offset + 1
    if (this.log?.wanted === true) this.host.fetcher.wake()
  }

  /** Milliseconds until something that is set aside comes due; Infinity: nothing does. */
  get nextDue(): number {
    this.passOver()
    return this.later.first === undefined ? Infinity : Math.max(0, this.later.first.due - Date.now())
  }

  /** What is set aside and due, the first that came due first. Handed out it stays here until it is settled. */
  due(): Iterable<Aside> {
    const now = Date.now()
    this.passOver()
    for (let next = this.later.first; next !== undefined && next.due <= now; next = this.later.first) {
      this.later.removeFirst()
      this.ready.set(next.entry, next)
      this.passOver()
    }
    return this.ready.values()
  }

  /** Whether it is still set aside, as it was. */
  has(aside: Aside): boolean {
    return this.known.get(aside.entry) === aside
  }

  /** It is gone. */
  drop(aside: Aside): void {
    if (this.has(aside)) this.known.delete(aside.entry)
    if (this.ready.get(aside.entry) === aside) this.ready.delete(aside.entry)
  }

  private keep(aside: Aside): void {
    this.known.set(aside.entry, aside)
    this.ready.delete(aside.entry)
    this.later.add(aside)
  }

  /** What was settled or set aside again meanwhile waits no more. */
  private passOver(): void {
    while (this.later.first !== undefined && !this.has(this.later.first)) this.later.removeFirst()
  }

  /** It was settled, or set aside again. */
  replaced(before: Aside | undefined, now: Aside | undefined): void {
    if (before !== undefined) this.drop(before)
    if (now !== undefined && (this.known.get(now.entry)?.offset ?? -1) < now.offset) this.keep(now)
    if (before !== undefined && now === undefined) this.settled(before.entry)
  }

  private settled(entry: string): void {
    if (!entry.startsWith('r')) return
    this.redriven.add(entry)
    if (this.redriven.size <= REMEMBERED) return
    for (const oldest of this.redriven) {
      this.redriven.delete(oldest)
      return
    }
  }

  private learn(record: LogRecord): void {
    const said = asideOf(record)
    if (said === undefined) return
    const { entry, aside } = said
    const known = this.known.get(entry)
    if (aside === undefined) {
      if (known !== undefined && known.offset < record.offset) this.drop(known)
      this.settled(entry)
    } else if (this.redriven.has(entry)) {
      // Asked for twice, and the first is settled.
      void this.host.context.asides.remove(this.asidePlace, entry).catch(() => {})
    } else if ((known?.offset ?? -1) < aside.offset) {
      this.keep(aside)
    }
  }
}
