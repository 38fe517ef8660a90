/**
 * The part of the package `sqlite3` that Emmett uses, over `node:sqlite`. The real one does its work in other threads and answers
 * later, which costs more for each statement; so this does not make Emmett slower than it is. It prepares each text once, too.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

type Answer = (
  this: { readonly changes: number; readonly lastID: number },
  error: Error | null,
  result?: unknown,
) => void
type Params = readonly unknown[]

class Database {
  private readonly db: DatabaseSync
  private readonly prepared = new Map<string, StatementSync>()

  constructor(file: string) {
    this.db = new DatabaseSync(file)
  }

  run(sql: string, params?: Params | Answer, answer?: Answer): void {
    this.answer(sql, params, answer, (statement, values) => statement.run(...values))
  }

  all(sql: string, params?: Params | Answer, answer?: Answer): void {
    this.answer(sql, params, answer, (statement, values) => statement.all(...values))
  }

  get(sql: string, params?: Params | Answer, answer?: Answer): void {
    this.answer(sql, params, answer, (statement, values) => statement.get(...values))
  }

  close(): void {
    this.prepared.clear()
    this.db.close()
  }

  private answer(
    sql: string,
    params: Params | Answer | undefined,
    answer: Answer | undefined,
    work: (statement: StatementSync, values: SQLInputValue[]) => unknown,
  ): void {
    const [values, then] = typeof params === 'function' ? [[], params] : [params ?? [], answer]
    let [error, result]: [Error | null, unknown] = [null, undefined]
    try {
      result = work(this.prepare(sql), values.map(bound))
    } catch (cause) {
      error = asItsOwn(cause)
    }
    const { changes = 0, lastInsertRowid = 0 } = (result ?? {}) as { changes?: number; lastInsertRowid?: number }
    if (then !== undefined) queueMicrotask(() => then.call({ changes, lastID: lastInsertRowid }, error, result))
  }

  private prepare(sql: string): StatementSync {
    let statement = this.prepared.get(sql)
    if (statement === undefined) this.prepared.set(sql, (statement = this.db.prepare(sql)))
    return statement
  }
}

/** As the real one binds what SQLite has no type for. */
function bound(value: unknown): SQLInputValue {
  if (typeof value === 'boolean') return Number(value)
  if (value === undefined || value === null) return null
  return typeof value === 'object' && !(value instanceof Uint8Array)
    ? Object.prototype.toString.call(value)
    : (value as SQLInputValue)
}

/** An error as `sqlite3` throws them: with the primary result code in `errno`. */
function asItsOwn(cause: unknown): Error {
  const error = cause as Error & { readonly errcode?: number }
  return Object.assign(new Error(error.message, { cause }), {
    code: 'SQLITE_ERROR',
    errno: (error.errcode ?? 1) & 0xff,
  })
}

export default { Database, OPEN_READWRITE: 2, OPEN_CREATE: 4, OPEN_URI: 64 }
