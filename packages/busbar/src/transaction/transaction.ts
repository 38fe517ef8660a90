/**
 * A transaction of a database, whoever began it and whoever will end it: one function that runs one statement in it. What
 * Busbar writes through one (an outbox row, an event, an inbox record) is there exactly if its owner commits.
 */
export interface Transaction {
  /** Whose SQL it speaks. */
  readonly dialect: SqlDialect
  /**
   * Runs one statement, written with `?` placeholders; resolves to its rows by column name, empty where it gives none.
   * Rejects where the statement fails or the transaction is over.
   */
  execute(sql: string, params?: readonly SqlParameter[]): Promise<readonly SqlRow[]>
  /** Whether it is open, where the library tells without a statement. Absent: the database is asked. */
  isOpen?(): boolean
}

export type SqlDialect = 'postgres' | 'sqlite'

export type SqlParameter = null | number | bigint | string | Uint8Array

export type SqlRow = Readonly<Record<string, unknown>>
