import type { Patience } from '../suite/options.ts'

/** How patient the checks are, and how large. */
export interface EventStoreOptions extends Patience {
  /** Events in the checks of a long stream and of memory. Default 100 000. */
  readonly events?: number
}
