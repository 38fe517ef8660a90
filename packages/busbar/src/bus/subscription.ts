export interface SubscriptionStats {
  readonly group: string
  readonly handler: string
  /** Handled to the end. */
  readonly handled: number
  /** Runs that threw. */
  readonly failed: number
  readonly retried: number
  readonly redelivered: number
  readonly deadLettered: number
  /** No handler of this subscription wanted them. */
  readonly skipped: number
  /** Dropped by middleware. */
  readonly filtered: number
  /** Being handled right now. */
  readonly running: number
  /** In memory, not yet begun. */
  readonly waiting: number
  readonly paused: boolean
}

export interface Subscription {
  readonly group: string
  /** Stops handing out, waits for what runs (at most `deadline` milliseconds, default the bus's), gives the rest back. */
  unsubscribe(options?: { readonly deadline?: number }): Promise<void>
  /** Begins no further handler until `resume`. What runs goes on. */
  pause(): void
  resume(): void
  stats(): SubscriptionStats
}
