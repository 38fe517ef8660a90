import { sleep } from '../broker/backoff.ts'
import { ConfigurationError } from '../message/index.ts'
import { ConcurrencyError } from '../store/index.ts'

/** What happens when somebody else was faster: load and decide anew, after a short pause. */
export interface ConflictRetry {
  /** Further tries. 0: none. Default 3. */
  readonly retries?: number
  /** Milliseconds; ceiling of the first pause. Default 10. */
  readonly minDelay?: number
  /** Milliseconds; ceiling of any pause. Default 500. */
  readonly maxDelay?: number
}

/** @throws ConfigurationError that names the field. */
export function conflictRetry(given: ConflictRetry = {}): Required<ConflictRetry> {
  const policy = { retries: 3, minDelay: 10, maxDelay: 500, ...given }
  if (!Number.isSafeInteger(policy.retries) || policy.retries < 0) {
    throw new ConfigurationError(`retry: 'retries' must be a whole number from 0, not ${policy.retries}`)
  }
  for (const name of ['minDelay', 'maxDelay'] as const) {
    if (policy[name] >= 0 && Number.isFinite(policy[name])) continue
    throw new ConfigurationError(`retry: '${name}' must be 0 or more milliseconds, not ${policy[name]}`)
  }
  return policy
}

/**
 * Loads and acts until nobody was faster, with full jitter between, so that those who collided do not collide again.
 * @throws The last ConcurrencyError of the stream when the retries are used up; any other error, and any of `load`, at once.
 */
export async function retryConflicts<L, R>(
  policy: Required<ConflictRetry>,
  stream: string,
  load: () => Promise<L>,
  act: (loaded: L) => Promise<R>,
): Promise<R> {
  for (let tried = 0; ; tried++) {
    const loaded = await load()
    try {
      return await act(loaded)
    } catch (error) {
      const isConflict = error instanceof ConcurrencyError && error.stream === stream
      if (!isConflict || tried >= policy.retries) throw error
    }
    await sleep(Math.random() * Math.min(policy.maxDelay, policy.minDelay * 2 ** tried))
  }
}
