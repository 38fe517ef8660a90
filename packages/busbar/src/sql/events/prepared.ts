import type { Append, Appended, StoredEvent } from '../../store/index.ts'

/** An append whose topics are known. */
export interface Prepared extends Append {
  /** For each event: topic and partition. */
  readonly places: readonly { readonly topic: number; readonly partition: number }[]
  /** Unix milliseconds. */
  readonly storedAt: number
}

export interface Written {
  readonly appended: Appended
  /** Empty for a repetition, and where nobody asked for them. */
  readonly stored: readonly StoredEvent[]
}

/** What became of one append of a group; undefined: it has to be looked at alone. */
export type Outcome = { readonly written: Written } | { readonly error: unknown } | undefined
