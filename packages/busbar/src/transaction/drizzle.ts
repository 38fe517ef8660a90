import { pieces } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlRow, Transaction } from './transaction.ts'

/** A transaction of Drizzle on Postgres … */
export interface DrizzlePgLike<Sql> {
  execute(query: Sql): PromiseLike<unknown>
}

/** … or on SQLite, whose drivers answer at once or later. */
export interface DrizzleSqliteLike<Sql> {
  all(query: Sql): unknown
  run(query: Sql): unknown
}

/**
 * A transaction of Drizzle, on Postgres or SQLite.
 *
 * @param sql Drizzle's own `sql`, by which statements are made.
 *
 * @example
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values(order)
 *   await bus.publish(OrderPlaced.create(order), { tx: fromDrizzle(tx, sql) })
 * })
 */
export function fromDrizzle<Sql>(
  tx: DrizzlePgLike<Sql> | DrizzleSqliteLike<Sql>,
  sql: (strings: TemplateStringsArray, ...params: unknown[]) => Sql,
): Transaction {
  const made = (text: string, params: readonly unknown[]): Sql => {
    const strings = [...pieces(text)]
    return sql(Object.assign(strings, { raw: strings }), ...params)
  }
  if ('all' in tx) {
    return sameFor(tx, () => ({
      dialect: 'sqlite',
      execute: async (text, params = []) => {
        // Some drivers give no rows for a statement that has none to give, but fail.
        if (/^\s*(SELECT|WITH|PRAGMA)\b|\bRETURNING\b/i.test(text))
          return (await tx.all(made(text, params))) as SqlRow[]
        await tx.run(made(text, params))
        return []
      },
    }))
  }
  return sameFor(tx, () => ({
    dialect: 'postgres',
    execute: async (text, params = []) => {
      const answer = (await tx.execute(made(text, params))) as readonly SqlRow[] | { readonly rows: readonly SqlRow[] }
      return 'rows' in answer ? answer.rows : answer
    },
  }))
}
