import type { KnownAside } from './asides.ts'

/** What is set aside of one key, in the order of the log. The first goes at constant cost, however many wait behind it. */
export class AsideLane {
  private list: KnownAside[] = []
  /** Where the first one is: what is before it has gone. */
  private head = 0

  get first(): KnownAside | undefined {
    return this.list[this.head]
  }

  /** In place of the same entry, or where it belongs. */
  put(aside: KnownAside): void {
    const at = this.placeOf(aside)
    this.list.splice(at, this.list[at]?.entry === aside.entry ? 1 : 0, aside)
  }

  /** Nothing happens where it is not in. */
  remove(aside: KnownAside): void {
    const at = this.placeOf(aside)
    if (this.list[at]?.entry !== aside.entry) return
    if (at > this.head) {
      this.list.splice(at, 1)
      return
    }
    this.head++
    if (this.head < 1_024 || this.head * 2 < this.list.length) return
    this.list = this.list.slice(this.head)
    this.head = 0
  }

  private placeOf(aside: KnownAside): number {
    let [from, to] = [this.head, this.list.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (originOf(this.list[middle] as KnownAside) < originOf(aside)) from = middle + 1
      else to = middle
    }
    return from
  }
}

/** Its place in the log. */
export function originOf({ origin = 0 }: KnownAside): number {
  return origin
}
