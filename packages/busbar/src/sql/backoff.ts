/** Milliseconds; longest pause between two tries while the database fails. */
const LONGEST = 5_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …): doubling, with jitter, so that processes do not march in step. */
export function pauseAfter(failures: number): number {
  return Math.min(LONGEST, 25 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
}

/** Milliseconds; longest pause between two looks while an open transaction holds back what was committed after it. */
const LONGEST_WHILE_HELD = 32

/** Milliseconds until the next look, after so many before it. Most transactions are short, some are open for hours. */
export function pauseWhileHeld(looks: number): number {
  return Math.min(LONGEST_WHILE_HELD, 2 ** Math.min(looks, 10))
}
