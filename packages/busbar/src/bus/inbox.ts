import { ConfigurationError } from '../message/errors.ts'
import type { Inbox, InboxTransaction } from '../transaction/inbox.ts'
import type { HandlerContext } from './handler.ts'
import type { SubscribeOptions } from './options.ts'
import type { Route } from './routes.ts'
import type { Selection } from './selection.ts'

/** The routes of a subscription, each run in a transaction of its inbox where it has one: a message that is known there is not run. */
export function routesOf({ routes, single }: Selection, { inbox, broadcast }: SubscribeOptions): readonly Route[] {
  if (inbox === undefined) return routes
  if (broadcast === true) {
    throw new ConfigurationError(
      `'inbox' and 'broadcast' exclude each other: an inbox remembers what its group has handled, once for all processes, and a ` +
        `broadcast goes to each of them`,
    )
  }
  if (single?.kind === 'query') {
    throw new ConfigurationError(
      `query '${single.type}' cannot have an inbox: asked again it is answered again, and an inbox keeps no answers`,
    )
  }
  return routes.map((route) => ({ ...route, handle: (message, context) => once(inbox, route, message, context) }))
}

async function once(inbox: Inbox, { handle }: Route, message: HandlerContext['message'], context: HandlerContext) {
  await inbox.once({ group: context.group, id: message.id }, async (tx) => handle(message, withTx(context, tx)))
}

/** The same run, with its transaction. */
function withTx(context: HandlerContext, tx: InboxTransaction): HandlerContext {
  return Object.create(context, { tx: { value: tx, enumerable: true } }) as HandlerContext
}
