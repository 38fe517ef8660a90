/** One measured number, as `--json` prints it. */
export interface Sample {
  readonly suite: string
  readonly measure: string
  /** Bytes of the message's data as JSON text. */
  readonly payloadBytes: number
  /** `busbar`, `raw`, or the name of a peer. */
  readonly subject: string
  readonly unit: 'msg/s' | 'µs' | 'MB'
  readonly value: number
}

/** The same number over all rounds. */
export interface Series extends Omit<Sample, 'value'> {
  /** One value a round, in the order of the rounds. */
  readonly values: readonly number[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

/** Samples of the rounds gathered into series, in the order in which they first came. */
export function series(samples: readonly Sample[]): Series[] {
  const found = new Map<string, Sample & { values: number[] }>()
  for (const sample of samples) {
    const name = [sample.suite, sample.measure, sample.payloadBytes, sample.subject].join('|')
    const known = found.get(name)
    if (known === undefined) found.set(name, { ...sample, values: [sample.value] })
    else known.values.push(sample.value)
  }
  return [...found.values()]
}

/** How often `of` is `to`: the median of the rounds' own ratios, so that noise that lasts longer than a round cancels out. */
export function ratio(of: Series, to: Series): { readonly median: number; readonly min: number; readonly max: number } {
  const count = Math.min(of.values.length, to.values.length)
  const ratios = Array.from({ length: count }, (_, round) => (of.values[round] ?? 0) / (to.values[round] ?? 0))
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
}
