import type { Message } from '../message/message.ts'
import type { HandlerContext } from './handler.ts'

/** A message on its way to a handler, as consume middleware sees it. */
export interface Incoming extends HandlerContext {
  /** Name of the subscription's handler. */
  readonly handler: string
  /** Aborts `signal`, for middleware that gives up on a run (a timeout). */
  abort(reason: Error): void
}

/**
 * Something around every publish, every handler run, or both. The first given is the outermost.
 *
 * - Calling `next` goes on; not calling it drops the message (before sending; or acked and counted as filtered).
 * - Passing another message to `next` changes it for everything further in; it is validated after the last middleware.
 * - A throw rejects the publish, or fails the run as if the handler had thrown.
 * - `consume` is around each run, so also around each retry; what it resolves to is the handler's answer.
 * - The messages of one array pass `publish` side by side and are sent together: `next` resolves for each only when all
 *   have arrived. So hold nothing around `next` that the others of the array have to wait for, such as a lock.
 */
export interface Middleware {
  readonly name?: string
  publish?(message: Message, next: (message: Message) => Promise<void>): Promise<void>
  consume?(incoming: Incoming, next: (message: Message) => Promise<unknown>): Promise<unknown>
}

/**
 * The publish side of `middleware`, ending in `last`; `extra` is handed through untouched. Undefined where there is none,
 * so that the engine can take a shorter way.
 */
export function composePublish<Extra>(
  middleware: readonly Middleware[],
  last: (message: Message, extra: Extra) => Promise<void>,
): ((message: Message, extra: Extra) => Promise<void>) | undefined {
  const around = middleware.filter((each) => each.publish !== undefined)
  if (around.length === 0) return undefined
  return around.reduceRight<(message: Message, extra: Extra) => Promise<void>>(
    (next, each) => async (message, extra) => each.publish?.(message, (passed) => next(passed, extra)),
    last,
  )
}

/** The consume side. `last` is given what the innermost middleware passed on. */
export function composeConsume<In extends Incoming>(
  middleware: readonly Middleware[],
  last: (incoming: In) => Promise<unknown>,
): ((incoming: In) => Promise<unknown>) | undefined {
  const around = middleware.filter((each) => each.consume !== undefined)
  if (around.length === 0) return undefined
  return around.reduceRight<(incoming: In) => Promise<unknown>>(
    (next, each) => async (incoming) => each.consume?.(incoming, (message) => next(withMessage(incoming, message))),
    last,
  )
}

/** The same run with another message. */
export function withMessage<In extends Incoming>(incoming: In, message: Message): In {
  if (message === incoming.message) return incoming
  return Object.create(incoming, { message: { value: message, enumerable: true } }) as In
}
