import { pauseAfter as pause } from '../broker/backoff.ts'

export { sleep } from '../broker/backoff.ts'

/** Milliseconds; longest pause between two tries: metadata is old by then, and asking for new costs little. */
const LONGEST = 1_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …). */
export function pauseAfter(failures: number): number {
  return pause(failures, LONGEST)
}
