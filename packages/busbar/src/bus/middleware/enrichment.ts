import type { Message, Metadata } from '../../message/message.ts'
import type { Middleware } from '../middleware.ts'

/** What is added to a message or put in place of what it has. */
export interface Enriched extends Partial<Pick<Message, 'data' | 'subject' | 'key' | 'priority'>> {
  /** Headers to add. One that the message already has stays as it is: explicit metadata wins. */
  readonly metadata?: Partial<Metadata>
}

/** Gives what to change, or nothing. The message that it is given is not to be changed. */
export type Enrich = (message: Message) => Enriched | void | undefined | Promise<Enriched | void | undefined>

/**
 * Adds to messages on their way: what every publisher would have to remember (tenant, user, host), or what every handler
 * would have to look up. A function alone enriches at publish.
 *
 * @example bus.use(enrichment(() => ({ metadata: { tenantId: currentTenant() } })))
 */
export function enrichment(enrich: Enrich | { readonly publish?: Enrich; readonly consume?: Enrich }): Middleware {
  const { publish, consume } = typeof enrich === 'function' ? { publish: enrich, consume: undefined } : enrich
  return {
    name: 'enrichment',
    ...(publish !== undefined && {
      publish: async (message, next) => next(enriched(message, await publish(message))),
    }),
    ...(consume !== undefined && {
      consume: async ({ message }, next) => next(enriched(message, await consume(message))),
    }),
  }
}

function enriched(message: Message, changes: Enriched | void | undefined): Message {
  if (changes === undefined) return message
  const { metadata, ...attributes } = changes
  return { ...message, ...attributes, metadata: { ...metadata, ...message.metadata } }
}
