/** One making of a projection's model: the live one, or the one that is being built beside it. */
export interface Build {
  readonly name: string
  /** Grows with each build of the projection. */
  readonly number: number
  readonly version: number
  readonly fingerprint: string
  readonly partitions: number
}
