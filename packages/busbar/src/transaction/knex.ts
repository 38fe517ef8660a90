import { unknownDialect } from './errors.ts'
import { pieces } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlDialect, SqlRow, Transaction } from './transaction.ts'

/** A `Knex.Transaction`. */
export interface KnexLike {
  isCompleted(): boolean
  raw(sql: string, bindings: never): PromiseLike<unknown>
}

/**
 * A transaction of Knex, on Postgres or SQLite.
 *
 * @param dialect Default: that of the client.
 *
 * @example
 * await knex.transaction(async (trx) => {
 *   await trx('orders').insert(order)
 *   await bus.publish(OrderPlaced.create(order), { tx: fromKnex(trx) })
 * })
 */
export function fromKnex(trx: KnexLike, dialect: SqlDialect = dialectOf(trx)): Transaction {
  return sameFor(trx, () => ({
    dialect,
    isOpen: () => !trx.isCompleted(),
    execute: async (sql, params = []) => {
      // To Knex every question mark is a placeholder, also in a text.
      const text = pieces(sql).map((piece) => piece.replaceAll('?', String.raw`\?`))
      const answer = (await trx.raw(text.join('?'), [...params] as never)) as
        | readonly SqlRow[]
        | { rows: readonly SqlRow[] }
      return 'rows' in answer ? answer.rows : answer
    },
  }))
}

function dialectOf(trx: KnexLike): SqlDialect {
  const { client } = trx as { readonly client?: { readonly dialect?: string } }
  const name = client?.dialect ?? ''

  if (/^(postgres|pg|cockroach)/.test(name)) return 'postgres'
  if (/sqlite/.test(name)) return 'sqlite'
  throw unknownDialect('fromKnex', name)
}
