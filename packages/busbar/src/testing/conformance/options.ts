import type { Patience } from '../suite/options.ts'

/** How patient the checks are, and how large. */
export interface ConformanceOptions extends Patience {
  /** Messages waiting in the check of memory under a backlog. Default 100 000. */
  readonly backlog?: number
}
