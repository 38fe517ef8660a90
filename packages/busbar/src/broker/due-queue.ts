interface Item {
  /** Unix milliseconds. */
  readonly due: number
}

/** What comes due, soonest first, then in the order in which it was added: a binary heap. */
export class DueQueue<T extends Item> {
  private readonly heap: { readonly item: T; readonly order: number }[] = []
  private added = 0

  get first(): T | undefined {
    return this.heap[0]?.item
  }

  add(item: T): void {
    const { heap } = this
    heap.push({ item, order: this.added++ })
    for (let at = heap.length - 1; at > 0;) {
      const above = (at - 1) >> 1
      if (!this.swapIfSooner(at, above)) return
      at = above
    }
  }

  removeFirst(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let at = 0; ;) {
      const left = 2 * at + 1
      const sooner = this.isSooner(left + 1, left) ? left + 1 : left
      if (!this.swapIfSooner(sooner, at)) return
      at = sooner
    }
  }

  private swapIfSooner(one: number, other: number): boolean {
    if (!this.isSooner(one, other)) return false
    const { heap } = this
    const moved = heap[one] as (typeof heap)[number]
    heap[one] = heap[other] as (typeof heap)[number]
    heap[other] = moved
    return true
  }

  /** False where there is none at `one`. */
  private isSooner(one: number, other: number): boolean {
    const [a, b] = [this.heap[one], this.heap[other]]
    if (a === undefined || b === undefined) return false
    return a.item.due < b.item.due || (a.item.due === b.item.due && a.order < b.order)
  }
}
