import { unknownDialect } from './errors.ts'
import { numbered } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlDialect, SqlRow, Transaction } from './transaction.ts'

/** A `Transaction` or `ControlledTransaction` of Kysely. */
export interface KyselyLike {
  readonly isCommitted?: boolean
  readonly isRolledBack?: boolean
  getExecutor(): { readonly adapter: object }
  executeQuery<R>(query: RawQuery): Promise<{ readonly rows: R[] }>
}

/** What `CompiledQuery.raw` makes. */
interface RawQuery {
  readonly sql: string
  readonly parameters: readonly unknown[]
  readonly query: {
    readonly kind: 'RawNode'
    readonly sqlFragments: readonly string[]
    readonly parameters: readonly []
  }
  readonly queryId: { readonly queryId: string }
}

/**
 * A transaction of Kysely, on Postgres or SQLite.
 *
 * @param dialect Default: that of the instance, where its adapter is Kysely's own.
 *
 * @example
 * await db.transaction().execute(async (trx) => {
 *   await trx.insertInto('orders').values(order).execute()
 *   await bus.publish(OrderPlaced.create(order), { tx: fromKysely(trx) })
 * })
 */
export function fromKysely(trx: KyselyLike, dialect: SqlDialect = dialectOf(trx)): Transaction {
  return sameFor(trx, () => ({
    dialect,
    ...(trx.isCommitted === undefined ? {} : { isOpen: () => trx.isCommitted !== true && trx.isRolledBack !== true }),
    execute: async (given, params = []) => {
      const sql = dialect === 'postgres' ? numbered(given) : given
      const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] } as const
      const queryId = { queryId: crypto.randomUUID() }
      return (await trx.executeQuery<SqlRow>({ sql, parameters: params, query, queryId })).rows
    },
  }))
}

function dialectOf(trx: KyselyLike): SqlDialect {
  const { name } = trx.getExecutor().adapter.constructor
  if (name === 'PostgresAdapter') return 'postgres'
  if (name === 'SqliteAdapter') return 'sqlite'
  throw unknownDialect('fromKysely', name)
}
