import { Fifo } from '../broker/fifo.ts'
import type { Entry } from './entry.ts'

/** One key of a group that parks. */
interface Line {
  /** The head is out of line (waits for redelivery, or is a dead letter): those behind it are parked. */
  blocked: boolean
  readonly behind: Fifo<Entry>
}

/**
 * The keys of a group with `onFailure: 'park'`: of each, one message at a time is on its way, and the others wait
 * behind it until it is acked or discarded, however long it is out of line.
 */
export class ParkedKeys {
  private readonly lines = new Map<string, Line>()

  /** True: the entry may go. False: it waits here behind another of its key. */
  admit(entry: Entry): boolean {
    const { key } = entry.message
    if (key === undefined || entry.returning) return true
    const line = this.lines.get(key)
    if (line !== undefined) {
      line.behind.push(entry)
      return false
    }
    this.lines.set(key, { blocked: false, behind: new Fifo() })
    return true
  }

  block(key: string | undefined): void {
    const line = key === undefined ? undefined : this.lines.get(key)
    if (line !== undefined) line.blocked = true
  }

  /** The head is through, or discarded: gives the next in line, which may go now. */
  next(key: string | undefined): Entry | undefined {
    if (key === undefined) return undefined
    const line = this.lines.get(key)
    const next = line?.behind.shift()
    if (next === undefined) {
      this.lines.delete(key)
      return undefined
    }
    ;(line as Line).blocked = false
    next.returning = true
    return next
  }

  /** The head was given back unsettled: as if it had never gone. */
  restore(entries: readonly Entry[]): Entry[] {
    const restored: Entry[] = []
    for (const entry of entries) {
      const { key } = entry.message
      restored.push(entry)
      const line = key === undefined || entry.returning ? undefined : this.lines.get(key)
      if (key === undefined || line === undefined) continue
      restored.push(...line.behind.drain())
      this.lines.delete(key)
    }
    return restored.toSorted((a, b) => a.sequence - b.sequence)
  }

  /** Entries parked behind a head that is out of line. */
  *parked(): Iterable<Entry> {
    for (const { blocked, behind } of this.lines.values()) if (blocked) yield* behind.items()
  }
}
