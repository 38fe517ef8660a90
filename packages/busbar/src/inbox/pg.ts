import type { Inbox } from '../transaction/inbox.ts'
import { inPg, type PgPoolLike, type PooledClient } from '../transaction/begin.ts'
import { fromPg } from '../transaction/pg.ts'
import { inbox, type InboxSettings } from './inbox.ts'

/** What a pool lends. That of `pg` has a second form, with a callback. */
export type ClientOf<Pool> = Pool extends { connect: { (): infer Lent; (...args: never[]): unknown } }
  ? Awaited<Lent> & PooledClient
  : PooledClient

/**
 * An inbox in Postgres. Each message that is handled has a client of the pool for as long as its handler runs: a pool that is
 * smaller than the subscription's `concurrency` makes them wait for each other.
 *
 * @example
 * await bus.subscribe(OrderPlaced, async ({ data }, { tx }) => {
 *   await tx.client.query('INSERT INTO shipments …', [data.orderId])
 * }, { group: 'shipping', inbox: pgInbox(pool) })
 */
export function pgInbox<Pool extends PgPoolLike>(pool: Pool, settings: InboxSettings = {}): Inbox<ClientOf<Pool>> {
  return inbox<ClientOf<Pool>>({
    ...settings,
    transaction: (work) => inPg(pool, (client) => work(client as ClientOf<Pool>)),
    toTransaction: fromPg,
  })
}
