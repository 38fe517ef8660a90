import { sameFor } from './same.ts'
import type { SqlParameter, SqlRow, Transaction } from './transaction.ts'

/** A `DatabaseSync` of `node:sqlite`. */
export interface NodeSqliteLike {
  readonly isOpen: boolean
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
    isOpen: () => db.isOpen && db.isTransaction,
    execute: async (sql, params = []) => prepared(db, sql).all(...params) as SqlRow[],
  }))
}

type Prepared = ReturnType<NodeSqliteLike['prepare']>

/** Statements kept for each database; to prepare one costs several times what it costs to run it. */
const MOST_KEPT = 100
const kept = new WeakMap<NodeSqliteLike, Map<string, Prepared>>()

function prepared(db: NodeSqliteLike, sql: string): Prepared {
  let statements = kept.get(db)
  if (statements === undefined) kept.set(db, (statements = new Map()))
  let statement = statements.get(sql)
  if (statement !== undefined) return statement
  statement = db.prepare(sql)
  // Texts that are made with values in them would fill it for nothing.
  if (statements.size >= MOST_KEPT) statements.clear()
  statements.set(sql, statement)
  return statement
}
