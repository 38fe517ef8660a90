import { pauseAfter as pause } from '../broker/backoff.ts'

export { sleep } from '../broker/backoff.ts'

/** Milliseconds; longest pause between two tries while the server cannot be reached. */
const LONGEST = 2_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …). */
export function pauseAfter(failures: number): number {
  return pause(failures, LONGEST)
}
