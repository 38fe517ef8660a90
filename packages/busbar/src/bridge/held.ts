import { pauseAfter, sleep } from '../broker/backoff.ts'
import { Fifo } from '../broker/fifo.ts'
import { isOurs, type Item, lineOf, RELEASE } from './item.ts'
import { Slots } from './slots.ts'

/** Keys that are tried again at once, at most: what takes long to fail must not use up the other side. */
const AT_ONCE = 4

export interface HeldOptions {
  /** Most messages of one publish. */
  readonly batch: number
  /** Publishes some of one key and settles what came of it; resolves to what is to be tried again, with the reason. */
  readonly attempt: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Error>>
  /** Told of each attempt that failed: the next one follows after a pause. */
  readonly failed: (items: readonly Item[], error: Error, attempts: number) => void
}

/**
 * Keys of which something was refused for a while. Each waits by itself, longer each time, with all that comes after; it is in
 * nobody's way, and the order of the key is kept.
 */
export class Held {
  readonly #options: HeldOptions
  readonly #lines = new Map<unknown, Fifo<Item>>()
  readonly #ending = new AbortController()
  readonly #slots = new Slots(AT_ONCE)

  constructor(options: HeldOptions) {
    this.#options = options
  }

  /** Keys that wait. */
  get size(): number {
    return this.#lines.size
  }

  /** Takes an item whose key waits; false where it does not. */
  takes(item: Item): boolean {
    const line = this.#lines.get(lineOf(item))
    line?.push(item)
    return line !== undefined
  }

  /** The first of their key: from now on it waits. */
  hold(items: readonly Item[], error: Error): void {
    const [first] = items
    if (first === undefined) return
    const line = new Fifo<Item>()
    for (const item of items) line.push(item)
    this.#lines.set(lineOf(first), line)
    this.#options.failed(items, error, 1)
    void this.#retry(lineOf(first), line)
  }

  /** Gives back what waits. What is being tried is settled when that has ended. */
  end(): void {
    this.#ending.abort()
  }

  async #retry(key: unknown, line: Fifo<Item>): Promise<void> {
    for (let attempts = 1; line.length > 0;) {
      await sleep(attempts === 0 ? 0 : pauseAfter(attempts), this.#ending.signal).catch(() => {})
      if (this.#ending.signal.aborted) {
        for (const { settle } of line.drain()) settle(RELEASE)
        break
      }
      const failures = await this.#slots.use(() => this.#attempt(line))
      const [error] = failures.values()
      attempts = error === undefined ? 0 : attempts + 1
      if (error !== undefined) this.#options.failed([...failures.keys()], error, attempts)
    }
    this.#lines.delete(key)
  }

  async #attempt(line: Fifo<Item>): Promise<ReadonlyMap<Item, Error>> {
    const items: Item[] = []
    while (items.length < this.#options.batch) {
      const item = line.shift()
      if (item === undefined) break
      if (isOurs(item)) items.push(item)
    }
    if (items.length === 0) return new Map()
    const failures = await this.#options.attempt(items)
    line.prepend([...failures.keys()])
    return failures
  }
}
