import { numbered } from './placeholders.ts'
import { sameFor } from './same.ts'
import type { SqlDialect, SqlRow, Transaction } from './transaction.ts'

/** The client that an interactive transaction of Prisma hands you, or whatever has this method. */
export interface PrismaLike {
  $queryRawUnsafe<T>(sql: string, ...values: unknown[]): PromiseLike<T>
}

/**
 * An interactive transaction of Prisma.
 *
 * @param dialect Whose SQL the datasource speaks. Default `postgres`.
 *
 * @example
 * await prisma.$transaction(async (tx) => {
 *   await tx.order.create({ data: order })
 *   await bus.publish(OrderPlaced.create(order), { tx: fromPrisma(tx) })
 * })
 */
export function fromPrisma(tx: PrismaLike, dialect: SqlDialect = 'postgres'): Transaction {
  return sameFor(tx, () => ({
    dialect,
    execute: (sql, params = []) =>
      Promise.resolve(tx.$queryRawUnsafe<SqlRow[]>(dialect === 'postgres' ? numbered(sql) : sql, ...params)),
  }))
}
