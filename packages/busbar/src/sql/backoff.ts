export { pauseAfter } from '../broker/backoff.ts'

/** Milliseconds; longest pause between two looks while an open transaction holds back what was committed after it. */
const LONGEST_WHILE_HELD = 32

/** Milliseconds until the next look, after so many before it. Most transactions are short, some are open for hours. */
export function pauseWhileHeld(looks: number): number {
  return Math.min(LONGEST_WHILE_HELD, 2 ** Math.min(looks, 10))
}
