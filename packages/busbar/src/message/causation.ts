import { AsyncLocalStorage } from 'node:async_hooks'

import type { Message, Metadata } from './message.ts'

/**
 * The message that is being handled, wherever the handler's code has gone: what is published or stored meanwhile takes its
 * correlation id, and its id as causation id.
 */
export const ambient = new AsyncLocalStorage<Message>()

/** Metadata headers that a caused message inherits, unless it says otherwise. */
export const INHERITED = ['tenantId', 'userId', 'traceparent', 'tracestate'] as const

/** The metadata of a message with that of its cause. Explicit metadata wins; a correlation id that is the message's own id was not given. */
export function inherit({ id, metadata }: Pick<Message, 'id' | 'metadata'>, cause: Message): Metadata {
  const inherited: Record<string, string | undefined> = {}
  for (const name of INHERITED) if (cause.metadata[name] !== undefined) inherited[name] = cause.metadata[name]
  const given = metadata.correlationId !== id
  return {
    ...inherited,
    causationId: cause.id,
    ...metadata,
    correlationId: given ? metadata.correlationId : cause.metadata.correlationId,
  }
}
