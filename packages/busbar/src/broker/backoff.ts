import { setTimeout as timeout } from 'node:timers/promises'

/** Milliseconds; longest pause between two tries while a server or database fails. */
const LONGEST = 5_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …): doubling, with jitter, so that processes do not march in step. */
export function pauseAfter(failures: number, longest: number = LONGEST): number {
  return Math.min(longest, 25 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
}

/** @param ending Cuts it short. @throws The signal's reason then. */
export async function sleep(ms: number, ending?: AbortSignal): Promise<void> {
  if (ending === undefined) return timeout(ms)
  await timeout(ms, undefined, { signal: ending }).catch(() => {})
  ending.throwIfAborted()
}
