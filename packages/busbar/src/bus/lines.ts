import type { Delivery, Later, Verdict } from '../broker/index.ts'
import type { Priority } from '../message/message.ts'
import type { Clock } from './clock.ts'
import { Fifo } from '../broker/fifo.ts'
import { Keys } from './keys.ts'
import { Turn } from './turn.ts'

/** Lowest first. */
const LANES = ['low', 'normal', 'high', 'critical'] as const satisfies readonly Priority[]

const RELEASE: Verdict = { release: true }

const SOON = Promise.resolve()

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

  private readonly lanes = LANES.map(() => new Fifo<Turn>())
  private readonly normal = this.lanes[LANES.indexOf('normal')] as Fifo<Turn>
  /** How many are in the other lanes: where nobody uses priorities, nobody pays for them. */
  private prioritized = 0
  private readonly keys = new Keys<Turn>()
  private readonly concurrency: number
  private readonly ageing: number
  private readonly clock: Clock
  private readonly run: (turn: Turn) => void
  private held = false
  private closed = false
  private pumping = false
  private asked: number | undefined

  constructor(options: {
    readonly concurrency: number
    readonly ageing: number
    readonly clock: Clock
    /** Runs it and settles it, sooner or later. */
    readonly run: (turn: Turn) => void
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
  push(delivery: Delivery): Verdict | Later {
    if (this.closed) return RELEASE
    const { key } = delivery.message
    const line = key === undefined ? undefined : this.keys.line(key)
    const turn = new Turn(this, delivery, line)
    if (line?.busy === true) {
      line.behind ??= new Fifo()
      line.behind.push(this.wait(turn))
    } else {
      if (line !== undefined) line.busy = true
      if (this.held || this.running >= this.concurrency || this.waiting > 0) {
        this.enter(this.wait(turn))
        this.pump()
      } else {
        this.running++
        this.run(turn)
      }
    }
    return turn.verdict ?? turn
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
        item.release()
      }
    }
    this.prioritized = 0
  }

  /** A turn that ran is over: its key's next one may begin, and whatever waits for room. */
  ended({ line }: Turn): void {
    this.running--
    if (line !== undefined) {
      const next = line.behind?.shift()
      if (next === undefined) line.busy = false
      else this.enter(next)
    }
    if (this.waiting > 0) this.pump()
  }

  private wait(turn: Turn): Turn {
    this.waiting++
    turn.since = this.time()
    return turn
  }

  /** Now. The clock is asked once for all that comes in one go, since that costs more than taking a delivery. */
  private time(): number {
    if (this.asked === undefined) {
      this.asked = this.clock.now()
      void SOON.then(this.forget)
    }
    return this.asked
  }

  private readonly forget = (): void => {
    this.asked = undefined
  }

  private pump(): void {
    // A run that ends at once comes back here through `ended`: the loop that is already on takes it further.
    if (this.pumping) return
    this.pumping = true
    while (this.running < this.concurrency && !this.held && !this.closed) {
      const next = this.next()
      if (next === undefined) break
      this.waiting--
      this.running++
      // While it waited another member may have got it.
      if (next.delivery.lapsed) next.settle(RELEASE)
      else this.run(next)
    }
    this.pumping = false
  }

  private enter(turn: Turn): void {
    const { priority } = turn.delivery.message
    const lane = priority === undefined ? this.normal : (this.lanes[LANES.indexOf(priority)] ?? this.normal)
    if (lane !== this.normal) this.prioritized++
    lane.push(turn)
  }

  private next(): Turn | undefined {
    if (this.prioritized === 0) return this.normal.shift()
    const lane = this.highest()
    if (lane !== this.normal) this.prioritized--
    return lane?.shift()
  }

  /** The lane whose head has the highest priority, aged. */
  private highest(): Fifo<Turn> | undefined {
    const waiting = this.lanes.filter((lane) => lane.length > 0)
    // Only with two lanes in use is the clock asked.
    if (waiting.length < 2) return waiting[0]
    const now = this.clock.now()
    // Of equals the one that was higher to begin with.
    return waiting.reduceRight((best, lane) => (this.rank(lane, now) > this.rank(best, now) ? lane : best))
  }

  private rank(lane: Fifo<Turn>, now: number): number {
    const head = lane.peek() as Turn
    return this.lanes.indexOf(lane) + (now - head.since) / this.ageing
  }
}
