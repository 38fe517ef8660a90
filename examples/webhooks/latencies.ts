/** How long messages take from their publish until a group has handled them, over the last seconds. */

/** Seconds that are looked back. */
export const WINDOW = 10

export interface Percentiles {
  /** Milliseconds; undefined where nothing was handled in the window. */
  readonly p50: number | undefined
  readonly p99: number | undefined
}

export class Latencies {
  /** Per second of the clock, how often each number of milliseconds was seen. */
  private readonly seconds = new Map<number, Map<number, number>>()

  /** @param now, since Unix milliseconds. */
  add(since: number, now: number): void {
    const second = Math.floor(now / 1000)
    let counts = this.seconds.get(second)
    if (counts === undefined) {
      counts = new Map()
      this.seconds.set(second, counts)
      for (const old of this.seconds.keys()) if (old <= second - WINDOW) this.seconds.delete(old)
    }
    const taken = Math.max(0, now - since)
    counts.set(taken, (counts.get(taken) ?? 0) + 1)
  }

  percentiles(now: number): Percentiles {
    const oldest = Math.floor(now / 1000) - WINDOW
    const merged = new Map<number, number>()
    for (const [second, counts] of this.seconds) {
      if (second <= oldest) continue
      for (const [taken, count] of counts) merged.set(taken, (merged.get(taken) ?? 0) + count)
    }
    const sorted = [...merged].toSorted(([a], [b]) => a - b)
    const total = sorted.reduce((sum, [, count]) => sum + count, 0)
    return { p50: at(sorted, total * 0.5), p99: at(sorted, total * 0.99) }
  }
}

/** The smallest number of milliseconds within which `rank` messages were handled. */
function at(sorted: readonly (readonly [number, number])[], rank: number): number | undefined {
  let seen = 0
  for (const [taken, count] of sorted) {
    seen += count
    if (seen >= rank) return taken
  }
  return undefined
}
