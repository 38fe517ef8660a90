import { ConfigurationError } from '../../message/errors.ts'
import type { Middleware } from '../middleware.ts'
import { summarize } from '../redact.ts'
import { type IdempotencyStore, MemoryIdempotencyStore } from './idempotency-store.ts'

export interface IdempotencyOptions {
  /** Default: a `MemoryIdempotencyStore` of its own. */
  readonly store?: IdempotencyStore
  /** Milliseconds that a message is remembered after it was handled. Default one day. */
  readonly ttl?: number
}

/**
 * Drops what a group has handled already, by message id: it is acked without a run and counted as `filtered`.
 * A message is remembered only after its handler has succeeded, so one that failed is retried and redriven as usual.
 * Queries always run: each asker wants its answer.
 *
 * What it cannot promise: between the handler's effect and the remembering a process can die, and two processes can
 * run the same message at once, so an effect can still happen twice. Only an inbox, written in the same transaction as
 * the effect, closes that gap.
 */
export function idempotency(options: IdempotencyOptions = {}): Middleware {
  const { store = new MemoryIdempotencyStore(), ttl = 86_400_000 } = options
  if (!(ttl > 0)) throw new ConfigurationError(`idempotency: 'ttl' must be more than 0 milliseconds, not ${ttl}`)
  /** Runs under way, so that two copies of a message in this process do not both find that it is new. */
  const running = new Map<string, Promise<unknown>>()

  return {
    name: 'idempotency',
    async consume(incoming, next) {
      const { message, group } = incoming
      if (message.kind === 'query') return next(message)
      // By group, too: what one group has handled is still new to the others.
      const key = JSON.stringify([group, message.id])
      for (let other = running.get(key); other !== undefined; other = running.get(key)) await other.catch(() => {})
      const run = once()
      running.set(key, run)
      try {
        return await run
      } finally {
        running.delete(key)
      }

      async function once(): Promise<unknown> {
        if (await store.has(key)) return undefined
        const result = await next(message)
        try {
          await store.add(key, ttl)
        } catch (error) {
          // The handler is through: to fail the run now would make sure that it runs twice.
          const fields = { group, messageId: message.id, error: summarize(error).message }
          incoming.logger.warn(
            fields,
            'a handled message could not be remembered: if it comes again it is handled again',
          )
        }
        return result
      }
    },
  }
}
