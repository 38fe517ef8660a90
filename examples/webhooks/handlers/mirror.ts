/** Group `mirror`: sends everything on to a service that fails now and then, and for one kind always. */
import type { EventBus, Subscription } from 'busbar'

import type { MirrorClient } from './mirror-client.ts'
import type { Inbox } from './inbox.ts'

/** Short, so that the example takes seconds: a real service would be given minutes. */
export const RETRY = { retries: 2, minDelay: 5, maxDelay: 20, redeliveries: [100] } as const

/** Runs of a message before it leaves the line for the first time. A later one may come after those behind it. */
export const RUNS_IN_LINE = 1 + RETRY.retries

export function subscribeMirror(bus: EventBus, inbox: Inbox, client: MirrorClient): Promise<Subscription> {
  const upsert = inbox.database.prepare(
    `INSERT INTO mirrored VALUES (?, 1, ?)
     ON CONFLICT DO UPDATE SET count = count + 1, latest = excluded.latest`,
  )
  return bus.subscribe(
    'github.*',
    async (message, context) => {
      const name = `${message.key}#${message.metadata['sequence']}`
      await client.put({ type: message.type, name, attempt: context.attempt })
      inbox.once(message, context, () => upsert.run(message.subject ?? '', message.type))
    },
    { group: 'mirror', name: 'mirror', retry: RETRY },
  )
}
