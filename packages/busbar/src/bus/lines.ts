import type { Delivery, Verdict } from '../broker/index.ts'
import type { Priority } from '../message/message.ts'
import type { Clock } from './clock.ts'
import { Fifo } from '../broker/fifo.ts'
import { Keys, type Line } from './keys.ts'

/** Lowest first. */
const LANES = ['low', 'normal', 'high', 'critical'] as const satisfies readonly Priority[]

const RELEASE: Verdict = { release: true }

/** A delivery that waits for its turn. */
interface Waiting {
  readonly delivery: Delivery
  /** Of its key, if it has one. */
  readonly line: Line<Waiting> | undefined
  readonly since: number
  readonly settle: (verdict: Verdict) => void
}

/**
 * Decides which delivery runs when, in one member of a group:
 *
 * - of one key one at a time, in the order in which they came (a run lasts until its verdict, so retries hold the line);
 * - at most `concurrency` at once;
 * - among those that could begin, the higher priority first. Each `ageing` milliseconds of waiting count as one priority
 *   more, so nothing starves. Order by key is stronger than priority.
 */
export class Lines {
  /** Deliveries that run now. */
  running = 0
  /** Deliveries that wait. */
  waiting = 0

  private readonly lanes = LANES.map(() => new Fifo<Waiting>())
  private readonly normal = this.lanes[LANES.indexOf('normal')] as Fifo<Waiting>
  /** How many are in the other lanes: where nobody uses priorities, nobody pays for them. */
  private prioritized = 0
  private readonly keys = new Keys<Waiting>()
  private readonly concurrency: number
  private readonly ageing: number
  private readonly clock: Clock
  private readonly run: (delivery: Delivery) => Verdict | Promise<Verdict>
  private held = false
  private closed = false
  private pumping = false

  constructor(options: {
    readonly concurrency: number
    readonly ageing: number
    readonly clock: Clock
    readonly run: (delivery: Delivery) => Verdict | Promise<Verdict>
  }) {
    this.concurrency = options.concurrency
    this.ageing = options.ageing
    this.clock = options.clock
    this.run = options.run
  }

  get paused(): boolean {
    return this.held
  }

  /** Takes a delivery: runs it at once where it may, else when its turn comes. */
  push(delivery: Delivery): Verdict | Promise<Verdict> {
    if (this.closed) return RELEASE
    const { key } = delivery.message
    const line = key === undefined ? undefined : this.keys.line(key)
    if (this.held || this.running >= this.concurrency || this.waiting > 0 || line?.busy === true) {
      return this.enqueue(delivery, line)
    }
    return this.begin(delivery, line)
  }

  pause(): void {
    this.held = true
  }

  resume(): void {
    this.held = false
    this.pump()
  }

  /** Begins nothing more and releases all that waits. What runs goes on. */
  close(): void {
    this.closed = true
    for (const queue of [...this.lanes, ...this.keys.behind()]) {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
        this.waiting--
        item.settle(RELEASE)
      }
    }
    this.prioritized = 0
  }

  private enqueue(delivery: Delivery, line: Line<Waiting> | undefined): Promise<Verdict> {
    return new Promise((settle) => {
      this.waiting++
      const item: Waiting = { delivery, line, since: this.clock.now(), settle }
      if (line?.busy === true) {
        line.behind ??= new Fifo()
        line.behind.push(item)
        return
      }
      if (line !== undefined) line.busy = true
      this.enter(item)
      this.pump()
    })
  }

  private begin(delivery: Delivery, line: Line<Waiting> | undefined): Verdict | Promise<Verdict> {
    if (line !== undefined) line.busy = true
    this.running++
    const verdict = this.run(delivery)
    if (!(verdict instanceof Promise)) {
      this.end(line)
      return verdict
    }
    return verdict.then((settled) => {
      this.end(line)
      return settled
    })
  }

  /** The same for one that has waited: its promise is settled with the verdict itself, which is cheaper than with a promise of it. */
  private beginWaiting({ delivery, line, settle }: Waiting): void {
    this.running++
    if (delivery.lapsed ?? delivery.signal.aborted) {
      // While it waited another member may have got it.
      this.end(line)
      settle(RELEASE)
      return
    }
    const verdict = this.run(delivery)
    if (!(verdict instanceof Promise)) {
      this.end(line)
      settle(verdict)
      return
    }
    void verdict.then((settled) => {
      this.end(line)
      settle(settled)
    })
  }

  private end(line: Line<Waiting> | undefined): void {
    this.running--
    if (line !== undefined) {
      const next = line.behind?.shift()
      if (next === undefined) line.busy = false
      else this.enter(next)
    }
    if (this.waiting > 0) this.pump()
  }

  private pump(): void {
    // A run that ends at once comes back here through `end`: the loop that is already on takes it further.
    if (this.pumping) return
    this.pumping = true
    while (this.running < this.concurrency && !this.held && !this.closed) {
      const next = this.next()
      if (next === undefined) break
      this.waiting--
      this.beginWaiting(next)
    }
    this.pumping = false
  }

  private enter(item: Waiting): void {
    const { priority } = item.delivery.message
    const lane = priority === undefined ? this.normal : (this.lanes[LANES.indexOf(priority)] ?? this.normal)
    if (lane !== this.normal) this.prioritized++
    lane.push(item)
  }

  private next(): Waiting | undefined {
    if (this.prioritized === 0) return this.normal.shift()
    const lane = this.highest()
    if (lane !== this.normal) this.prioritized--
    return lane?.shift()
  }

  /** The lane whose head has the highest priority, aged. */
  private highest(): Fifo<Waiting> | undefined {
    const waiting = this.lanes.filter((lane) => lane.length > 0)
    // Only with two lanes in use is the clock asked.
    if (waiting.length < 2) return waiting[0]
    const now = this.clock.now()
    // Of equals the one that was higher to begin with.
    return waiting.reduceRight((best, lane) => (this.rank(lane, now) > this.rank(best, now) ? lane : best))
  }

  private rank(lane: Fifo<Waiting>, now: number): number {
    const head = lane.peek() as Waiting
    return this.lanes.indexOf(lane) + (now - head.since) / this.ageing
  }
}
