import { ConfigurationError } from '../../message/errors.ts'
import { type Clock, systemClock } from '../clock.ts'

/** Which messages a group is through with. Keys are opaque texts. */
export interface IdempotencyStore {
  has(key: string): boolean | Promise<boolean>
  /** Remembers the key for at least `ttl` milliseconds. */
  add(key: string, ttl: number): void | Promise<void>
}

export interface MemoryIdempotencyOptions {
  /** Most keys to keep; the oldest go first. Default 100 000 (about 15 MB). */
  readonly max?: number
  readonly clock?: Clock
}

/** Remembers in this process, bounded: what was pushed out by newer keys, or by a restart, is not known any more. */
export class MemoryIdempotencyStore implements IdempotencyStore {
  private readonly until = new Map<string, number>()
  private readonly max: number
  private readonly clock: Clock

  constructor({ max = 100_000, clock = systemClock }: MemoryIdempotencyOptions = {}) {
    if (!Number.isInteger(max) || max < 1) {
      throw new ConfigurationError(`MemoryIdempotencyStore: 'max' must be a whole number from 1, not ${max}`)
    }
    this.max = max
    this.clock = clock
  }

  get size(): number {
    return this.until.size
  }

  has(key: string): boolean {
    const until = this.until.get(key)
    if (until === undefined) return false
    if (until > this.clock.now()) return true
    this.until.delete(key)
    return false
  }

  add(key: string, ttl: number): void {
    const now = this.clock.now()
    this.until.delete(key)
    this.until.set(key, now + ttl)
    // Insertion order is age: what has run out at the old end goes, and what is over the limit.
    for (const [oldest, until] of this.until) {
      if (until > now && this.until.size <= this.max) return
      this.until.delete(oldest)
    }
  }
}
