/** Rows of one statement among others of a transaction. More gain little more. */
export const BULK_ROWS = 10

/** Most rows that are a statement and transaction by themselves: without BEGIN and COMMIT, which cost as much as ten rows. */
export const WHOLE_ROWS = 100

/**
 * The same INSERT for several rows at once; undefined for a statement that is no plain INSERT of one row of values.
 *
 * OR ROLLBACK, because within a transaction SQLite else copies every page that a statement of several rows changes, so
 * that this one statement could be undone, and that costs more than the many rows save. Here a statement that fails
 * ends its transaction anyway.
 */
export function bulkInsert(sql: string, rows = BULK_ROWS): string | undefined {
  const found = /^INSERT (INTO .* VALUES )(\([?, ]+\))$/.exec(sql)
  if (found === null) return undefined
  const [, into, values] = found
  return `INSERT OR ROLLBACK ${into}${Array.from({ length: rows }, () => values).join(', ')}`
}
