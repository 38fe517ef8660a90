import { ConfigurationError, DecodeError, NonRetryableError, ValidationError } from '../message/errors.ts'

/** What happens to a message whose handler throws: first retry, then redelivery, then the dead letters. */
export interface RetryPolicy {
  /** Further runs in this process for each delivery. The line of its key waits. Default 3. */
  readonly retries: number
  /** Milliseconds; ceiling of the first retry's delay. Default 100. */
  readonly minDelay: number
  /** Milliseconds; ceiling of any retry's delay. Default 2 000. */
  readonly maxDelay: number
  /**
   * Milliseconds before each redelivery by the broker, one entry for each. They hold no worker and survive the process.
   * Default 10 s, 1 min, 5 min. A broker that cannot redeliver goes straight to the dead letters.
   */
  readonly redeliveries: readonly number[]
  /** Whether running again could help. Default: everything but `NonRetryableError`, validation and decoding. */
  readonly retryable: (error: unknown) => boolean
  /** Runs that died with their process before the message is dead-lettered without another. Default 3. */
  readonly crashes: number
}

export const defaultRetryPolicy: RetryPolicy = {
  retries: 3,
  minDelay: 100,
  maxDelay: 2_000,
  redeliveries: [10_000, 60_000, 300_000],
  retryable: (error) =>
    !(error instanceof NonRetryableError || error instanceof ValidationError || error instanceof DecodeError),
  crashes: 3,
}

/**
 * The defaults with what was given in their place, the last first.
 * @throws ConfigurationError that names the field.
 */
export function retryPolicy(...given: readonly (Partial<RetryPolicy> | undefined)[]): RetryPolicy {
  const policy: RetryPolicy = Object.assign({}, defaultRetryPolicy, ...given)
  const { retries, minDelay, maxDelay, redeliveries, crashes } = policy
  for (const [name, value, least] of [
    ['retries', retries, 0],
    ['crashes', crashes, 1],
  ] as const) {
    if (Number.isInteger(value) && value >= least) continue
    throw new ConfigurationError(`retry: '${name}' must be a whole number from ${least}, not ${value}`)
  }
  const delays = { minDelay, maxDelay, ...Object.fromEntries(redeliveries.map((ms, n) => [`redeliveries[${n}]`, ms])) }
  for (const [name, ms] of Object.entries(delays)) {
    if (ms >= 0 && Number.isFinite(ms)) continue
    throw new ConfigurationError(`retry: '${name}' must be 0 or more milliseconds, not ${ms}`)
  }
  return policy
}

/**
 * Delay before retry number `retry` (1, 2 …): exponential with full jitter, uniform between 0 and
 * min(maxDelay, minDelay * 2^(retry - 1)). Spreads the retries of many clients best (M. Brooker, "Exponential Backoff
 * And Jitter", AWS Architecture Blog, 2015).
 */
export function backoff(policy: RetryPolicy, retry: number, random: () => number = Math.random): number {
  return random() * Math.min(policy.maxDelay, policy.minDelay * 2 ** (retry - 1))
}
