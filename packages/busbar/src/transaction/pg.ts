import { TransactionError } from './errors.ts'
import { numbered } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlRow, Transaction } from './transaction.ts'

/** A client of `pg`, or what is like one. */
export interface PgLike {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly SqlRow[] }>
}

/**
 * The transaction that you began on a client of `pg` (not on a pool, which takes another connection for each statement).
 *
 * @example
 * await client.query('BEGIN')
 * await client.query('INSERT INTO orders …')
 * await bus.publish(OrderPlaced.create(order), { tx: fromPg(client) })
 * await client.query('COMMIT')
 */
export function fromPg(client: PgLike): Transaction {
  if ('totalCount' in client) {
    throw new TransactionError(
      'fromPg was given a pool, which runs each statement on a connection of its own: give it the client of pool.connect() on which you began',
    )
  }
  return sameFor(client, () => ({
    dialect: 'postgres',
    execute: async (sql, params = []) => (await client.query(numbered(sql), [...params])).rows,
  }))
}
