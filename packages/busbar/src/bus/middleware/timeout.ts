import { BusbarError, ConfigurationError } from '../../message/errors.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Middleware } from '../middleware.ts'

/** A run took longer than it may. Retryable. */
export class TimeoutError extends BusbarError {
  override readonly name: string = 'TimeoutError'
}

export interface TimeoutOptions {
  /** Milliseconds for each run, with everything further in. */
  readonly ms: number
  readonly clock?: Clock
}

/**
 * Fails a run that takes longer than `ms` milliseconds, and aborts its `signal`.
 *
 * Code cannot be stopped from outside: a handler that does not heed `signal` goes on while its message is retried,
 * so hand the signal to what you wait for (`fetch`, `setTimeout` of `node:timers/promises` …).
 *
 * @throws ConfigurationError when `ms` is not more than 0.
 */
export function timeout({ ms, clock = systemClock }: TimeoutOptions): Middleware {
  if (!(ms > 0)) throw new ConfigurationError(`timeout: 'ms' must be more than 0 milliseconds, not ${ms}`)
  return {
    name: 'timeout',
    async consume(incoming, next) {
      let cancel = (): void => {}
      const late = new Promise<never>((_, reject) => {
        cancel = clock.schedule(ms, () => {
          const { message, handler, group } = incoming
          const error = new TimeoutError(
            `${message.type} was not handled by '${handler}' in group '${group}' within ${ms} ms`,
          )
          incoming.abort(error)
          reject(error)
        })
      })
      try {
        return await Promise.race([next(incoming.message), late])
      } finally {
        cancel()
      }
    },
  }
}
