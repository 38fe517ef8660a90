/** Milliseconds; longest pause between two tries while the server cannot be reached or refuses. */
const LONGEST = 2_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …): doubling, with jitter, so that processes do not march in step. */
export function pauseAfter(failures: number): number {
  return Math.min(LONGEST, 25 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
}

/** Resolves with `promise`, whatever becomes of it, or after `ms` milliseconds: for what is good to have done and must not hold up a stop. */
export async function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([promise.catch(() => {}), late])
  clearTimeout(timer)
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
