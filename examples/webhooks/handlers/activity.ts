/** Group `activity`: what happened in each repository, by kind, with the latest of each in words. */
import { type EventBus, type HandlerContext, type HandlerEntry, type Message, on, type Subscription } from 'busbar'

import { contracts, type Kind } from '../contracts.ts'
import { headlines } from './headlines.ts'
import type { Inbox } from './inbox.ts'

/** One handler for each kind, and all of them one group: one place in line, so that a repository's story stays in order. */
export function subscribeActivity(bus: EventBus, inbox: Inbox): Promise<Subscription> {
  const upsert = inbox.database.prepare(
    `INSERT INTO activity VALUES (?, ?, 1, ?, ?)
     ON CONFLICT DO UPDATE SET count = count + 1, latest = excluded.latest, place = excluded.place`,
  )
  const handler = (kind: Kind): HandlerEntry => {
    const headline = headlines[kind] as (data: unknown) => string
    return on(contracts[kind], (message: Message, context: HandlerContext) => {
      const { sender } = message.data as { sender?: { login: string } }
      const text = `${sender?.login ?? 'GitHub'}: ${headline(message.data)}`
      inbox.once(message, context, (place) => upsert.run(message.subject ?? '', kind, text, place))
    })
  }
  return bus.subscribe((Object.keys(contracts) as Kind[]).map(handler), { group: 'activity' })
}
