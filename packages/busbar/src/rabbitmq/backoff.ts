import { pauseAfter as pause } from '../broker/backoff.ts'
import { BrokerError } from '../broker/index.ts'

export { sleep } from '../broker/backoff.ts'

/** Milliseconds; longest pause between two tries while the server cannot be reached or refuses. */
const LONGEST = 2_000

/** Milliseconds to wait after `failures` failures in a row (1, 2 …). */
export function pauseAfter(failures: number): number {
  return pause(failures, LONGEST)
}

/** Resolves with `promise`, whatever becomes of it, or after `ms` milliseconds: for what is good to have done and must not hold up a stop. */
export async function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = ms === Infinity ? undefined : setTimeout(resolve, ms)
  await Promise.race([promise.catch(() => {}), late])
  clearTimeout(timer)
}

/** As `promise`. @throws BrokerError after `ms` milliseconds without it; `what` is its text. */
export async function inTime<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new BrokerError(`${what} for ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
