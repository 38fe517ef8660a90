/** Milliseconds; longest pause between two tries while the server cannot be reached or refuses. */
const LONGEST = 2_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …): doubling, with jitter, so that processes do not march in step. */
export function pauseAfter(failures: number): number {
  return Math.min(LONGEST, 25 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
