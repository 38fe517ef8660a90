import type { Clock } from '../bus/index.ts'
import { ConfigurationError } from '../message/errors.ts'

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /**
   * Moves on by `ms` milliseconds, calling what comes due on the way, each at its own time and in order (those of the
   * same moment in the order in which they were scheduled). After each, what it set off is let settle first: promises and
   * ten turns of the event loop; so a timer that is scheduled on the way is called on the way too. Files and sockets take
   * longer: wait for these (`bus.idle()`) before moving on. Resolves when all has settled. Rejects with what a callback
   * throws, and stands at its moment then.
   */
  advance(ms: number): Promise<void>
  /** Timers that wait. */
  readonly pending: number
}

interface Timer {
  readonly due: number
  readonly callback: () => void
}

/** Turns of the event loop that what a timer set off is given to settle. */
const TURNS = 10

/**
 * @param start What time it is at first, in Unix milliseconds or as a Date. Default 2026-01-01T00:00:00Z.
 *
 * What is scheduled for now (0 ms) needs no `advance`: it is called in the next turn of the event loop.
 *
 * @example
 * const clock = createFakeClock()
 * await using bus = await createTestEventBus({ clock })
 * await bus.publish(OrderPlaced.create({ orderId: 'o-1' }), { delay: 60_000 })
 * await clock.advance(60_000)
 */
export function createFakeClock(start: number | Date = Date.UTC(2026, 0, 1)): FakeClock {
  return new ManualClock(Number(start))
}

class ManualClock implements FakeClock {
  private time: number
  /** In the order in which they were scheduled. */
  private readonly timers = new Set<Timer>()
  private turn: Promise<void> = Promise.resolve()

  constructor(start: number) {
    if (!Number.isFinite(start)) throw new ConfigurationError(`a clock cannot start at ${start}: give it a moment`)
    this.time = start
  }

  now(): number {
    return this.time
  }

  get pending(): number {
    return this.timers.size
  }

  schedule(ms: number, callback: () => void): () => void {
    const timer: Timer = { due: this.time + Math.max(0, ms), callback }
    this.timers.add(timer)
    if (timer.due <= this.time) setImmediate(() => this.call(timer))
    return () => {
      this.timers.delete(timer)
    }
  }

  advance(ms: number): Promise<void> {
    if (!(ms >= 0 && Number.isFinite(ms))) {
      return Promise.reject(new ConfigurationError(`a clock advances by 0 or more milliseconds, not by ${ms}`))
    }
    // One at a time: of two calls that overlap, the second begins where the first ends.
    const done = this.turn.then(() => this.moveTo(this.time + ms))
    this.turn = done.catch(() => {})
    return done
  }

  private async moveTo(end: number): Promise<void> {
    await this.settled()
    for (let next = this.next(end); next !== undefined; next = this.next(end)) {
      this.time = Math.max(this.time, next.due)
      this.call(next)
      await this.settled()
    }
    this.time = end
  }

  private next(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.timers) if (timer.due <= end && timer.due < (first?.due ?? Infinity)) first = timer
    return first
  }

  /** It may have been called or cancelled meanwhile. */
  private call(timer: Timer): void {
    if (!this.timers.delete(timer)) return
    timer.callback()
  }

  private async settled(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}
