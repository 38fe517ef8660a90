import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { sleep } from '../broker/backoff.ts'
import { BrokerError } from '../broker/index.ts'
import type { Executor, Row, SqlValue, Statements, Values } from '../sql/executor.ts'
import { explained, isBusy, isTaken } from './errors.ts'
import { Breath } from './breath.ts'
import { BULK_ROWS, bulkInsert, WHOLE_ROWS } from './bulk.ts'
import { assertOutside } from '../sql/events/inside.ts'
import { Lock } from '../sql/lock.ts'

export interface SqliteExecutorOptions {
  readonly file: string | URL
  readonly synchronous: 'normal' | 'full'
  /** Milliseconds. */
  readonly busyTimeout: number
}

/** Statements whose result is there when they return, in a transaction. */
export interface StatementsNow {
  all(sql: string, params?: readonly SqlValue[]): Row[]
  run(sql: string, params?: readonly SqlValue[]): number
  /** Runs an INSERT of one row; returns the row id, or undefined where a unique key has its like already: nothing happened then. */
  insert(sql: string, row: readonly SqlValue[]): SqlValue | undefined
  /** Runs an INSERT for each list of values; returns the row id of the last. */
  insertMany(sql: string, rows: readonly (readonly SqlValue[])[]): SqlValue
}

/** Milliseconds that SQLite itself waits for a lock, during which nothing else in the process runs. */
const BLOCKING_WAIT = 20

/** Milliseconds; longest pause between two tries to get the lock. */
const LONGEST_PAUSE = 50

/** Milliseconds that a wait for a lock may go on after the deadline of a stop. */
const LATE = 1_000

/**
 * One connection of `node:sqlite`. It is synchronous: a transaction is over before anything else in the process runs,
 * but for other users of the same connection, which the lock keeps out.
 */
export class SqliteExecutor implements Executor {
  private readonly options: SqliteExecutorOptions
  private readonly name: string
  private readonly lock = new Lock()
  private readonly breath = new Breath()
  private readonly prepared = new Map<string, StatementSync>()
  /** Texts of the INSERTs for many rows, by those for one; empty where there is none. */
  private readonly bulks = new Map<string, string[]>()
  private readonly preparedForValues = new Map<string, StatementSync>()
  private db: DatabaseSync | undefined
  private version = -1
  /** No wait for a lock goes on after this, by `performance.now()`. */
  private patience = Infinity
  private readonly ending = new AbortController()
  private readonly statements: Statements
  private readonly statementsNow: StatementsNow

  constructor(options: SqliteExecutorOptions) {
    this.options = options
    this.name = String(options.file)
    this.statements = {
      all: async (sql, params) => this.allNow(sql, params),
      values: async (sql, params, enough) => this.valuesNow(sql, params, enough),
      run: async (sql, params) => this.runNow(sql, params),
      runMany: async (sql, rows) => void this.runManyNow(sql, rows),
      insertMany: async (sql, rows) => this.runManyNow(sql, rows),
    }
    this.statementsNow = {
      all: (sql, params) => this.allNow(sql, params),
      run: (sql, params) => this.runNow(sql, params),
      insert: (sql, row) => {
        try {
          return this.prepare(sql).run(...(row as SQLInputValue[])).lastInsertRowid
        } catch (error) {
          if (isTaken(error)) return undefined
          throw error
        }
      },
      insertMany: (sql, rows) => this.runManyNow(sql, rows),
    }
  }

  async open(look?: (sql: Statements) => Promise<unknown>): Promise<void> {
    if (this.db !== undefined) return
    try {
      this.db = new DatabaseSync(this.options.file, { timeout: BLOCKING_WAIT })
    } catch (error) {
      throw explained(error, this.name)
    }
    try {
      // WAL is kept in the file, so even that is not for one that is refused.
      if (look !== undefined) await this.read(look)
      // Switching to WAL fails at once, without the waiting of the busy timeout, while another process does the same.
      await this.locked(() => this.allNow('PRAGMA journal_mode = WAL'))
      await this.locked(() => this.allNow(`PRAGMA synchronous = ${this.options.synchronous}`))
      await this.locked(() => this.allNow('PRAGMA journal_size_limit = 67108864'))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  all(sql: string, params?: readonly SqlValue[]): Promise<Row[]> {
    return this.locked(() => this.allNow(sql, params))
  }

  values(sql: string, params?: readonly SqlValue[], enough?: (row: Values) => boolean): Promise<Values[]> {
    return this.locked(() => this.valuesNow(sql, params, enough))
  }

  async run(sql: string, params?: readonly SqlValue[]): Promise<number> {
    // Nobody before us and no lock in the way: done before this returns, without the layers of `locked`.
    if (this.lock.tryAcquire()) {
      try {
        return this.runNow(sql, params)
      } catch (error) {
        if (!isBusy(error)) throw explained(error, this.name)
        return await this.patiently(() => this.runNow(sql, params))
      } finally {
        this.lock.release()
        if (this.breath.isDue) await this.breath.take()
      }
    }
    return this.locked(() => this.runNow(sql, params))
  }

  runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    const whole = rows.length === 0 || rows.length > WHOLE_ROWS ? undefined : this.bulkOf(sql, rows.length)
    if (whole === undefined) return this.write((statements) => statements.runMany(sql, rows))
    return this.locked(() => void runBulk(whole(), rows))
  }

  read<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    // A reader can meet a lock as late as its first statement (while another process recovers the log): all again then.
    return this.locked(() => this.transaction('BEGIN', work))
  }

  write<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.locked(() => this.transaction('BEGIN IMMEDIATE', work))
  }

  /** As `write`, of work that awaits nothing: without a promise for each of its statements. */
  writeNow<T>(work: (sql: StatementsNow) => T): Promise<T> {
    return this.locked(() => this.transactionNow(work))
  }

  async changedElsewhere(): Promise<boolean> {
    // Changes when another connection has committed, never by this one.
    const [row] = await this.all('PRAGMA data_version')
    const version = Number(row?.['data_version'])
    const changed = version !== this.version
    this.version = version
    return changed
  }

  hurry(milliseconds: number): void {
    this.patience = Math.min(this.patience, performance.now() + milliseconds + LATE)
  }

  interrupt(): void {
    this.ending.abort(new BrokerError(`SQLite file ${this.name}: the broker was stopped`))
  }

  async close(): Promise<void> {
    await this.lock.acquire()
    try {
      this.prepared.clear()
      this.preparedForValues.clear()
      this.db?.close()
    } finally {
      this.db = undefined
      this.lock.release()
    }
  }

  private async transaction<T>(begin: string, work: (sql: Statements) => Promise<T>): Promise<T> {
    this.runNow(begin)
    try {
      const result = await work(this.statements)
      this.runNow('COMMIT')
      return result
    } catch (error) {
      this.rollback()
      // Only before anything has happened may a writer be run again.
      throw begin === 'BEGIN' ? error : explained(error, this.name)
    }
  }

  private transactionNow<T>(work: (sql: StatementsNow) => T): T {
    this.runNow('BEGIN IMMEDIATE')
    try {
      const result = work(this.statementsNow)
      this.runNow('COMMIT')
      return result
    } catch (error) {
      this.rollback()
      throw explained(error, this.name)
    }
  }

  assertOutside(): void {
    assertOutside(this, 'publish')
  }

  /** Runs `work` when it is its turn, and again while another process has the lock: nothing of it has happened then. */
  private async locked<T>(work: () => T | Promise<T>): Promise<T> {
    if (!this.lock.tryAcquire()) {
      assertOutside(this, 'a read or write of the same file')
      await this.lock.acquire()
    }
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error)) throw explained(error, this.name)
      return await this.patiently(work)
    } finally {
      this.lock.release()
      if (this.breath.isDue) await this.breath.take()
    }
  }

  /** The event loop is free between two tries. */
  private async patiently<T>(work: () => T | Promise<T>): Promise<T> {
    const deadline = performance.now() + this.options.busyTimeout
    for (let pause = 2; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
      await sleep(1 + Math.random() * pause, this.ending.signal)
      try {
        return await work()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= Math.min(deadline, this.patience)) throw explained(error, this.name)
      }
    }
  }

  private rollback(): void {
    try {
      // After some errors (disk full) SQLite has already rolled back.
      if (this.db?.isTransaction === true) this.db.exec('ROLLBACK')
    } catch {
      // The error that led here is the one to report.
    }
  }

  private allNow(sql: string, params: readonly SqlValue[] = []): Row[] {
    return this.prepare(sql).all(...params)
  }

  private valuesNow(sql: string, params: readonly SqlValue[] = [], enough?: (row: Values) => boolean): Values[] {
    const statement = this.prepareForValues(sql)
    if (enough === undefined) return statement.all(...params) as unknown as Values[]
    const rows: Values[] = []
    for (const row of statement.iterate(...params) as unknown as Iterable<Values>) {
      rows.push(row)
      if (enough(row)) break
    }
    return rows
  }

  private runNow(sql: string, params: readonly SqlValue[] = []): number {
    return Number(this.prepare(sql).run(...(params as SQLInputValue[])).changes)
  }

  /** The row id of the last, if they were inserted. */
  private runManyNow(sql: string, rows: readonly (readonly SqlValue[])[]): SqlValue {
    let last: SqlValue = null
    const bulk = rows.length < BULK_ROWS ? undefined : this.bulkOf(sql, BULK_ROWS)
    const inBulks = bulk === undefined ? 0 : rows.length - (rows.length % BULK_ROWS)
    for (let next = 0; next < inBulks; next += BULK_ROWS) {
      if (bulk !== undefined) last = runBulk(bulk(), rows.slice(next, next + BULK_ROWS))
    }
    const statement = this.prepare(sql)
    for (let next = inBulks; next < rows.length; next++) {
      last = statement.run(...(rows[next] as SQLInputValue[])).lastInsertRowid
    }
    return last
  }

  /** Prepares the INSERT of so many rows; undefined where there is none. */
  private bulkOf(sql: string, rows: number): (() => StatementSync) | undefined {
    let sizes = this.bulks.get(sql)
    if (sizes === undefined) this.bulks.set(sql, (sizes = []))
    const bulk = (sizes[rows] ??= bulkInsert(sql, rows) ?? '')
    return bulk === '' ? undefined : () => this.prepare(bulk)
  }

  private prepare(sql: string): StatementSync {
    let statement = this.prepared.get(sql)
    if (statement === undefined) this.prepared.set(sql, (statement = this.connection().prepare(sql)))
    return statement
  }

  private prepareForValues(sql: string): StatementSync {
    let statement = this.preparedForValues.get(sql)
    if (statement === undefined) {
      statement = this.connection().prepare(sql)
      statement.setReturnArrays(true)
      this.preparedForValues.set(sql, statement)
    }
    return statement
  }

  private connection(): DatabaseSync {
    if (this.db !== undefined) return this.db
    throw new BrokerError(`SQLite file ${this.name} is not open: the broker was not started or was stopped`)
  }
}

function runBulk(statement: StatementSync, rows: readonly (readonly SqlValue[])[]): SqlValue {
  const values: SqlValue[] = []
  for (const row of rows) for (const value of row) values.push(value)
  return statement.run(...(values as SQLInputValue[])).lastInsertRowid
}
