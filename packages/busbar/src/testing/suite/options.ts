/** How patient checks are. */
export interface Patience {
  /** Milliseconds that a check waits for something that must happen. Default 30 000. */
  readonly patience?: number
  /** Milliseconds that a check listens for something that must not happen, where no later message can mark the end. Default 300. */
  readonly grace?: number
  /** Lease in milliseconds for checks in which processes die or hang. Default 2000. */
  readonly lease?: number
}

export const USUAL: Required<Patience> = { patience: 30_000, grace: 300, lease: 2_000 }
