import { sameFor } from './same.ts'
import type { SqlParameter, SqlRow, Transaction } from './transaction.ts'

/** A `DatabaseSync` of `node:sqlite`. */
export interface NodeSqliteLike {
  readonly isTransaction: boolean
  prepare(sql: string): { all(...params: SqlParameter[]): unknown[] }
}

/**
 * The transaction that you began on a database of `node:sqlite`.
 *
 * Others who use the same `DatabaseSync` meanwhile are in the same transaction: have one for each that runs at a time.
 *
 * @example
 * db.exec('BEGIN IMMEDIATE')
 * db.prepare('INSERT INTO orders …').run(…)
 * await bus.publish(OrderPlaced.create(order), { tx: fromNodeSqlite(db) })
 * db.exec('COMMIT')
 */
export function fromNodeSqlite(db: NodeSqliteLike): Transaction {
  return sameFor(db, () => ({
    dialect: 'sqlite',
    isOpen: () => db.isTransaction,
    execute: async (sql, params = []) => db.prepare(sql).all(...params) as SqlRow[],
  }))
}
