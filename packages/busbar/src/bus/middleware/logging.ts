import { type Logger, stderrLogger } from '../logger.ts'
import type { Middleware } from '../middleware.ts'
import { summarize } from '../redact.ts'

export interface LoggingOptions {
  /** Where to. Default: `stderrLogger`, which shows warnings and errors only; give your own (pino fits) to see the rest. */
  readonly logger?: Logger
  /** Level of what went well. Default `info`. What failed is a warning: the engine itself says as an error what is given up. */
  readonly level?: 'debug' | 'info'
}

/**
 * Says of each publish and each run what it was, how it ended and how long it took. Never the data, the key or the
 * subject, and of an error only what `summarize` leaves. Put it outermost, so that its times include all the rest.
 */
export function logging({ logger = stderrLogger, level = 'info' }: LoggingOptions = {}): Middleware {
  return {
    name: 'logging',
    async publish(message, next) {
      const began = performance.now()
      const { type, id: messageId, metadata } = message
      const fields = { type, messageId, correlationId: metadata.correlationId }
      try {
        await next(message)
      } catch (error) {
        logger.warn({ ...fields, ms: since(began), error: textOf(error) }, `${type} could not be published`)
        throw error
      }
      logger[level]({ ...fields, ms: since(began) }, `${type} published`)
    },
    async consume({ message, group, handler, attempt }, next) {
      const began = performance.now()
      const { type, id: messageId, metadata } = message
      const fields = { type, messageId, correlationId: metadata.correlationId, group, handler, attempt }
      try {
        const result = await next(message)
        logger[level]({ ...fields, ms: since(began) }, `${type} handled by '${handler}' in group '${group}'`)
        return result
      } catch (error) {
        const text = `${type} failed in '${handler}' of group '${group}', attempt ${attempt}`
        logger.warn({ ...fields, ms: since(began), error: textOf(error) }, text)
        throw error
      }
    },
  }
}

function textOf(error: unknown): { readonly name: string; readonly message: string } {
  const { name, message } = summarize(error)
  return { name, message }
}

/** Milliseconds, to a hundredth. */
function since(began: number): number {
  return Math.round((performance.now() - began) * 100) / 100
}
