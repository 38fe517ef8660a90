/** Capacity of the first ring: most lines are short. */
const SMALLEST = 4
/** Capacity that is kept when it is empty; what a backlog needed beyond it is let go. */
const KEPT = 1_024

/** First in, first out, with constant cost: a ring that doubles when it is full. */
export class Fifo<T> {
  length = 0
  /** Its length is a power of two, so that places in it are found with a mask. */
  private ring: (T | undefined)[] = []
  private head = 0

  push(item: T): void {
    if (this.length === this.ring.length) this.grow()
    this.ring[(this.head + this.length++) & (this.ring.length - 1)] = item
  }

  peek(): T | undefined {
    return this.length === 0 ? undefined : this.ring[this.head]
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined
    const { ring, head } = this
    const item = ring[head]
    ring[head] = undefined
    this.head = (head + 1) & (ring.length - 1)
    if (--this.length === 0 && ring.length > KEPT) this.clear()
    return item
  }

  /** Puts items before all others, in their order. */
  prepend(items: readonly T[]): void {
    if (items.length === 0) return
    const all = [...items, ...this.drain()]
    for (const item of all) this.push(item)
  }

  /** All items, first to last. */
  items(): readonly T[] {
    const { ring, head, length } = this
    return [...ring.slice(head), ...ring.slice(0, head)].slice(0, length) as T[]
  }

  /** All items, first to last, and none left. */
  drain(): T[] {
    const items = this.items() as T[]
    this.clear()
    return items
  }

  private clear(): void {
    this.ring = []
    this.head = 0
    this.length = 0
  }

  /** In place of an array that grows as it is pushed to and shrinks to nothing when it is emptied, which costs a new one each time. */
  private grow(): void {
    const ring: (T | undefined)[] = [...this.items()]
    const capacity = Math.max(SMALLEST, ring.length * 2)
    while (ring.length < capacity) ring.push(undefined)
    this.ring = ring
    this.head = 0
  }
}
