import type { Fifo } from '../broker/fifo.ts'

/** The deliveries of one key. */
export interface Line<T> {
  /** One of them runs or is in a lane. */
  busy: boolean
  /** Those behind it. */
  behind: Fifo<T> | undefined
}

/** Idle lines that are kept, at least. */
const KEPT = 1_024

/**
 * The lines of all keys in use. An idle line is kept for the next message of its key, and idle ones are thrown out together
 * now and then: a Map that gains and loses an entry with every message leaves old tables behind that keep what went through
 * them alive until the next full collection (it cost a third of the memory of a consumer).
 */
export class Keys<T> {
  private lines = new Map<string, Line<T>>()
  private limit = KEPT

  /** The line of a key; the same one as long as it is busy. */
  line(key: string): Line<T> {
    const known = this.lines.get(key)
    if (known !== undefined) return known
    if (this.lines.size >= this.limit) this.sweep()
    const line: Line<T> = { busy: false, behind: undefined }
    this.lines.set(key, line)
    return line
  }

  /** All deliveries that are behind another. */
  behind(): readonly Fifo<T>[] {
    return [...this.lines.values()].flatMap(({ behind }) => behind ?? [])
  }

  private sweep(): void {
    this.lines = new Map([...this.lines].filter(([, line]) => line.busy))
    this.limit = Math.max(KEPT, this.lines.size * 2)
  }
}
