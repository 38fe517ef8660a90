/** Time, as the engine sees it. Give the bus another one in tests. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number
  /** Calls `callback` once, `ms` milliseconds from now; returns what cancels it. */
  schedule(ms: number, callback: () => void): () => void
}

/** setTimeout fires at once for delays above 2^31 - 1 ms; a longer wait is made in steps. */
const LONGEST_TIMER = 2 ** 31 - 1

export const systemClock: Clock = {
  // Asked by name each time, so that a test that replaces Date is believed.
  now: () => Date.now(),
  schedule(ms, callback) {
    let timer: NodeJS.Timeout
    const arm = (left: number): void => {
      timer =
        left > LONGEST_TIMER ? setTimeout(() => arm(left - LONGEST_TIMER), LONGEST_TIMER) : setTimeout(callback, left)
    }
    arm(ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms` milliseconds of `clock`, or at once (with false) when `signal` aborts. */
export function wait(clock: Clock, ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false)
  return new Promise((resolve) => {
    const onAbort = (): void => {
      cancel()
      resolve(false)
    }
    const cancel = clock.schedule(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve(true)
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
