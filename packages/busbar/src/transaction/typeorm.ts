import { unknownDialect } from './errors.ts'
import { numbered } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlDialect, SqlRow, Transaction } from './transaction.ts'

/** The `EntityManager` of a transaction of TypeORM. */
export interface TypeOrmLike {
  query(sql: string, parameters?: never): Promise<unknown>
  readonly queryRunner?: { readonly isTransactionActive: boolean } | undefined
}

/**
 * The entity manager of a transaction of TypeORM, on Postgres or SQLite.
 *
 * @param dialect Default: that of the data source.
 *
 * @example
 * await dataSource.transaction(async (manager) => {
 *   await manager.save(order)
 *   await bus.publish(OrderPlaced.create(order), { tx: fromTypeOrm(manager) })
 * })
 */
export function fromTypeOrm(manager: TypeOrmLike, dialect: SqlDialect = dialectOf(manager)): Transaction {
  const { queryRunner } = manager
  return sameFor(manager, () => ({
    dialect,
    ...(queryRunner === undefined ? {} : { isOpen: () => queryRunner.isTransactionActive }),
    execute: async (sql, params = []) => {
      const answer = await manager.query(dialect === 'postgres' ? numbered(sql) : sql, [...params] as never)
      if (!Array.isArray(answer)) return []
      // What changes rows is answered with the rows and their number.
      const rows: unknown = Array.isArray(answer[0]) && typeof answer[1] === 'number' ? answer[0] : answer
      return rows as SqlRow[]
    },
  }))
}

function dialectOf(manager: TypeOrmLike): SqlDialect {
  const { connection } = manager as { readonly connection?: { readonly options?: { readonly type?: string } } }
  const type = connection?.options?.type ?? ''
  if (/^(aurora-)?postgres|^cockroachdb$/.test(type)) return 'postgres'
  if (/sqlite|sqljs/.test(type)) return 'sqlite'
  throw unknownDialect('fromTypeOrm', type)
}
