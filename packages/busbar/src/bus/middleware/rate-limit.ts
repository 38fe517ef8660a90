import { BusbarError, ConfigurationError } from '../../message/errors.ts'
import { type Clock, systemClock, wait } from '../clock.ts'
import type { Incoming, Middleware } from '../middleware.ts'

export interface RateLimitOptions {
  /** Runs in a second, on average; may be a fraction. */
  readonly perSecond: number
  /** Runs that may begin at once after a quiet time, a whole number from 1. Default 1. */
  readonly burst?: number
  /** What shares a limit, for example the tenant. Default: the group. */
  readonly key?: (incoming: Incoming) => string
  readonly clock?: Clock
}

/** Above this many keys those at rest are forgotten. */
const MANY_KEYS = 10_000

/**
 * Delays runs so that no more begin than the limit allows, in the order in which they came. Drops nothing. A run that
 * waits holds its worker and its key; when its message is no longer ours (`signal`), it fails without having run.
 * The limit holds in this process: with several, give each its share.
 *
 * @throws ConfigurationError for settings that make no sense.
 */
export function rateLimit({ perSecond, burst = 1, key = groupOf, clock = systemClock }: RateLimitOptions): Middleware {
  if (!(perSecond > 0)) throw new ConfigurationError(`rateLimit: 'perSecond' must be more than 0, not ${perSecond}`)
  if (!Number.isInteger(burst) || burst < 1) {
    throw new ConfigurationError(`rateLimit: 'burst' must be a whole number from 1, not ${burst}`)
  }
  const interval = 1_000 / perSecond
  // The generic cell rate algorithm: for each key the time at which it would be at rest, and no run earlier than
  // `burst` intervals before that. A token bucket without a timer that fills it.
  const restAt = new Map<string, number>()

  /** Takes the next place of a key; gives the milliseconds until it may begin. */
  function reserve(name: string): number {
    const now = clock.now()
    if (restAt.size > MANY_KEYS) for (const [other, rest] of restAt) if (rest <= now) restAt.delete(other)
    const rest = Math.max(now, restAt.get(name) ?? now) + interval
    restAt.set(name, rest)
    return Math.max(0, rest - burst * interval - now)
  }

  return {
    name: 'rateLimit',
    async consume(incoming, next) {
      const name = key(incoming)
      const ms = reserve(name)
      if (ms > 0 && !(await wait(clock, ms, incoming.signal))) {
        restAt.set(name, (restAt.get(name) ?? 0) - interval)
        const { reason } = incoming.signal as { readonly reason: unknown }
        throw reason instanceof Error ? reason : new BusbarError(String(reason))
      }
      return next(incoming.message)
    },
  }
}

function groupOf({ group }: Incoming): string {
  return group
}
