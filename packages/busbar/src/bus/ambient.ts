import { AsyncLocalStorage } from 'node:async_hooks'

import type { Message } from '../message/message.ts'

/**
 * The message that is being handled, wherever the handler's code has gone: what is published meanwhile takes its
 * correlation id, and its id as causation id.
 */
export const ambient = new AsyncLocalStorage<Message>()

/** Metadata headers that a caused message inherits, unless it says otherwise. */
export const INHERITED = ['tenantId', 'userId', 'traceparent', 'tracestate'] as const
