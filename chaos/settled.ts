import { setTimeout as sleep } from 'node:timers/promises'

export interface Settling {
  readonly isOver: () => boolean
  /** A number that changes while anything moves. */
  readonly movement: () => number
  /** Milliseconds without movement after which it is given up. */
  readonly patience: number
  /** Milliseconds without movement that it takes beside `isOver`. Default 0. */
  readonly quiet?: number
  /** Rejects if waiting has become pointless. */
  readonly broken?: Promise<unknown>
}

/** Waits until all is over; resolves to true if nothing moved for so long that it never will be. */
export async function settled({ isOver, movement, patience, quiet = 0, broken }: Settling): Promise<boolean> {
  let last = movement()
  let since = performance.now()
  for (;;) {
    await (broken === undefined ? sleep(100) : Promise.race([sleep(100), broken]))
    const now = movement()
    if (now !== last) {
      last = now
      since = performance.now()
    }
    const still = performance.now() - since
    if (still >= quiet && isOver()) return false
    if (still > patience) return true
  }
}
