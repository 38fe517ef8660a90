import { ConfigurationError } from '../message/errors.ts'
import type { SqlParameter, SqlRow, Transaction } from '../transaction/transaction.ts'
import type { Build } from './build.ts'

/** What a projection's handlers change a model with, where it is in SQL. All of it is one transaction with the checkpoint. */
export interface SqlModel {
  /** For your library, where you have one that takes a transaction. */
  readonly tx: Transaction
  /** The table of this build that readers see as the view `name`, quoted: use it in every statement. */
  readonly table: (name: string) => string
  /** Runs a statement with `?` placeholders. */
  readonly run: (sql: string, params?: readonly SqlParameter[]) => Promise<void>
  /** Rows of a query. */
  readonly rows: <R = SqlRow>(sql: string, params?: readonly SqlParameter[]) => Promise<readonly R[]>
}

/** Name of a build's table. Names are checked where a projection is declared. */
export function tableOf(table: string, build: number): string {
  return `"${table}__b${build}"`
}

export function sqlModel(tx: Transaction, { name, number }: Build, tables: readonly string[]): SqlModel {
  return {
    tx,
    table(asked) {
      if (tables.includes(asked)) return tableOf(asked, number)
      throw new ConfigurationError(
        `projection '${name}' declares no table '${asked}'; it has: ${tables.length === 0 ? 'none' : tables.join(', ')}`,
      )
    },
    run: async (sql, params) => void (await tx.execute(sql, params)),
    rows: async <R>(sql: string, params?: readonly SqlParameter[]) => (await tx.execute(sql, params)) as readonly R[],
  }
}
