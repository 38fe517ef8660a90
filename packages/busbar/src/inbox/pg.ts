import type { Inbox } from '../transaction/inbox.ts'
import { fromPg, type PgLike } from '../transaction/pg.ts'
import { inbox, type InboxSettings } from './inbox.ts'

/** A client that a pool lends. */
export interface PooledClient extends PgLike {
  query(text: string, values?: unknown[]): ReturnType<PgLike['query']>
  release(error?: Error | boolean): void
}

/** A `Pool` of `pg`, or what is like one. */
export interface PoolLike {
  connect(): Promise<PooledClient>
}

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
export function pgInbox<Pool extends PoolLike>(pool: Pool, settings: InboxSettings = {}): Inbox<ClientOf<Pool>> {
  return inbox<ClientOf<Pool>>({
    ...settings,
    transaction: (work) => within(pool, (client) => work(client as ClientOf<Pool>)),
    toTransaction: fromPg,
  })
}

async function within(pool: PoolLike, work: (client: PooledClient) => Promise<unknown>): Promise<void> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    await work(client)
    await client.query('COMMIT')
  } catch (error) {
    // A client that cannot roll back is not fit for the next.
    await client.query('ROLLBACK').catch((failed: Error) => (broken = failed))
    throw error
  } finally {
    client.release(broken)
  }
}
