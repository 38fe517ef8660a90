import { AsyncResource } from 'node:async_hooks'

import { ambient } from '../message/causation.ts'
import type { Message } from '../message/message.ts'

// As `AsyncLocalStorage.snapshot()`, whose function does the same by way of two argument lists: it costs four times as much.
const outside = new AsyncResource('BusbarHandling')

/**
 * Calls `work` as the handling of `message`, in an async context that holds nothing else: a handler does not run in the
 * request, span or transaction of whoever published, subscribed or was handled just before. (It also costs one context
 * a message instead of two, and no copy of the one around it.)
 */
export function handledAs<A, B, R>(message: Message, work: (first: A, second: B) => R, first: A, second: B): R {
  return outside.runInAsyncScope(enter<A, B, R>, undefined, message, work, first, second)
}

function enter<A, B, R>(message: Message, work: (first: A, second: B) => R, first: A, second: B): R {
  // Ends with the call, because `outside` puts back the context of its caller. Before Node 24 all calls of `outside` share
  // one context, so that a handler which resumes a subscription, and so runs another one within itself, has to get its own back.
  const before = ambient.getStore()
  ambient.enterWith(message)
  try {
    return work(first, second)
  } finally {
    if (before !== undefined) ambient.enterWith(before)
  }
}
