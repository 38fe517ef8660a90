/** Names of one series. All come from the program (types, groups, handlers); never from data. */
export type Labels = Readonly<Record<string, string>>

/** Where numbers go: a few lines around prom-client, OpenTelemetry's metrics or StatsD. Must not throw. */
export interface MetricsRegistry {
  /** One more. */
  count(name: string, labels: Labels): void
  /** A duration, in seconds. */
  observe(name: string, labels: Labels, seconds: number): void
}

/** One series of durations. */
export interface Durations {
  readonly name: string
  readonly labels: Labels
  readonly count: number
  /** Seconds. */
  readonly sum: number
  readonly max: number
  /** How many took at most `le` seconds; counted up, as Prometheus does. The last is Infinity. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
}

export interface MetricsSnapshot {
  readonly counters: readonly { readonly name: string; readonly labels: Labels; readonly value: number }[]
  readonly durations: readonly Durations[]
}

/** Upper bounds in seconds: from a function call to a slow request. */
const BOUNDS = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, Infinity] as const

/** Types come from outside: past this many series what is new counts as `other`. */
const MAX_SERIES = 5_000

interface Series {
  readonly name: string
  readonly labels: Labels
  readonly counts: number[]
  count: number
  sum: number
  max: number
}

/** Keeps the numbers in this process, for a page or a test. */
export class MemoryMetricsRegistry implements MetricsRegistry {
  private readonly counters = new Map<string, { readonly name: string; readonly labels: Labels; value: number }>()
  private readonly durations = new Map<string, Series>()

  count(name: string, labels: Labels): void {
    series(this.counters, name, labels, (kept) => ({ name, labels: kept, value: 0 })).value++
  }

  observe(name: string, labels: Labels, seconds: number): void {
    const found = series(this.durations, name, labels, (kept) => newSeries(name, kept))
    const bucket = BOUNDS.findIndex((bound) => seconds <= bound)
    found.counts[bucket] = (found.counts[bucket] ?? 0) + 1
    found.count++
    found.sum += seconds
    found.max = Math.max(found.max, seconds)
  }

  /** The numbers as they are now; later ones do not change it. */
  snapshot(): MetricsSnapshot {
    return {
      counters: [...this.counters.values()].map((counter) => ({ ...counter })),
      durations: [...this.durations.values()].map(({ counts, ...rest }) => ({ ...rest, buckets: cumulative(counts) })),
    }
  }
}

function newSeries(name: string, labels: Labels): Series {
  return { name, labels, counts: BOUNDS.map(() => 0), count: 0, sum: 0, max: 0 }
}

function series<T>(all: Map<string, T>, name: string, labels: Labels, make: (labels: Labels) => T): T {
  const key = keyOf(name, labels)
  const known = all.get(key)
  if (known !== undefined) return known
  if (all.size < MAX_SERIES || labels.type === 'other') {
    const made = make(labels)
    all.set(key, made)
    return made
  }
  return series(all, name, { ...labels, type: 'other' }, make)
}

function keyOf(name: string, labels: Labels): string {
  return JSON.stringify([name, ...Object.entries(labels).flat()])
}

function cumulative(counts: readonly number[]): Durations['buckets'] {
  let count = 0
  return BOUNDS.map((le, index) => ({ le, count: (count += counts[index] ?? 0) }))
}
