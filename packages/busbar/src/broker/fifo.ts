/** First in, first out, with constant cost: an array and how far it has been read. */
export class Fifo<T> {
  private list: (T | undefined)[] = []
  private head = 0

  get length(): number {
    return this.list.length - this.head
  }

  push(item: T): void {
    this.list.push(item)
  }

  peek(): T | undefined {
    return this.list[this.head]
  }

  shift(): T | undefined {
    if (this.head === this.list.length) return undefined
    const item = this.list[this.head]
    this.list[this.head++] = undefined
    if (this.head === this.list.length) {
      // A backlog's array is let go; a small one is used again.
      if (this.head > 1024) this.list = []
      else this.list.length = 0
      this.head = 0
    } else if (this.head > 1024 && this.head * 2 > this.list.length) {
      this.list = this.list.slice(this.head)
      this.head = 0
    }
    return item
  }

  /** Puts items before all others, in their order. */
  prepend(items: readonly T[]): void {
    if (items.length === 0) return
    this.list = [...items, ...this.list.slice(this.head)]
    this.head = 0
  }

  /** All items, first to last. */
  items(): readonly T[] {
    return this.list.slice(this.head) as T[]
  }

  /** All items, first to last, and none left. */
  drain(): T[] {
    const items = this.list.slice(this.head) as T[]
    this.list = []
    this.head = 0
    return items
  }
}
