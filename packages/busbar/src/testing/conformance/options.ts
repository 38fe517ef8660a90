/** How patient the checks are, and how large. */
export interface ConformanceOptions {
  /** Milliseconds that a check waits for something that must happen. Default 30 000. */
  readonly patience?: number
  /** Milliseconds that a check listens for something that must not happen, where no later message can mark the end. Default 300. */
  readonly grace?: number
  /** Lease in milliseconds for checks in which processes die or hang. Default 2000. */
  readonly lease?: number
  /** Messages waiting in the check of memory under a backlog. Default 100 000. */
  readonly backlog?: number
}
