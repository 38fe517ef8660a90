import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerError } from '../broker/index.ts'
import type { Executor, Row, SqlValue, Statements } from '../sql/executor.ts'
import { explained, isBusy } from './errors.ts'
import { Lock } from '../sql/lock.ts'

export interface SqliteExecutorOptions {
  readonly file: string | URL
  readonly synchronous: 'normal' | 'full'
  /** Milliseconds. */
  readonly busyTimeout: number
}

/** Milliseconds that SQLite itself waits for a lock, during which nothing else in the process runs. */
const BLOCKING_WAIT = 20

/** Milliseconds; longest pause between two tries to get the lock. */
const LONGEST_PAUSE = 50

/**
 * One connection of `node:sqlite`. It is synchronous: a transaction is over before anything else in the process runs,
 * but for other users of the same connection, which the lock keeps out.
 */
export class SqliteExecutor implements Executor {
  private readonly options: SqliteExecutorOptions
  private readonly name: string
  private readonly lock = new Lock()
  private readonly prepared = new Map<string, StatementSync>()
  private db: DatabaseSync | undefined
  private version = -1
  private readonly statements: Statements

  constructor(options: SqliteExecutorOptions) {
    this.options = options
    this.name = String(options.file)
    this.statements = {
      all: async (sql, params, enough) => this.allNow(sql, params, enough),
      run: async (sql, params) => this.runNow(sql, params),
      runMany: async (sql, rows) => this.runManyNow(sql, rows),
    }
  }

  async open(): Promise<void> {
    if (this.db !== undefined) return
    try {
      this.db = new DatabaseSync(this.options.file, { timeout: BLOCKING_WAIT })
    } catch (error) {
      throw explained(error, this.name)
    }
    try {
      // Switching to WAL fails at once, without the waiting of the busy timeout, while another process does the same.
      await this.locked(() => this.allNow('PRAGMA journal_mode = WAL'))
      await this.locked(() => this.allNow(`PRAGMA synchronous = ${this.options.synchronous}`))
      await this.locked(() => this.allNow('PRAGMA journal_size_limit = 67108864'))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  all(sql: string, params?: readonly SqlValue[], enough?: (row: Row) => boolean): Promise<Row[]> {
    return this.locked(() => this.allNow(sql, params, enough))
  }

  run(sql: string, params?: readonly SqlValue[]): Promise<number> {
    return this.locked(() => this.runNow(sql, params))
  }

  runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    return this.write((statements) => statements.runMany(sql, rows))
  }

  read<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.transaction('BEGIN', work)
  }

  write<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.transaction('BEGIN IMMEDIATE', work)
  }

  async changedElsewhere(): Promise<boolean> {
    // Changes when another connection has committed, never by this one.
    const [row] = await this.all('PRAGMA data_version')
    const version = Number(row?.['data_version'])
    const changed = version !== this.version
    this.version = version
    return changed
  }

  async close(): Promise<void> {
    await this.lock.acquire()
    try {
      this.prepared.clear()
      this.db?.close()
    } finally {
      this.db = undefined
      this.lock.release()
    }
  }

  private async transaction<T>(begin: string, work: (sql: Statements) => Promise<T>): Promise<T> {
    if (!this.lock.tryAcquire()) await this.lock.acquire()
    try {
      await this.patiently(() => this.runNow(begin))
      try {
        const result = await work(this.statements)
        this.runNow('COMMIT')
        return result
      } catch (error) {
        this.rollback()
        throw explained(error, this.name)
      }
    } finally {
      this.lock.release()
    }
  }

  private async locked<T>(work: () => T): Promise<T> {
    if (!this.lock.tryAcquire()) await this.lock.acquire()
    try {
      return await this.patiently(work)
    } finally {
      this.lock.release()
    }
  }

  /** Tries again while another process has the lock. The event loop is free between two tries. */
  private async patiently<T>(work: () => T): Promise<T> {
    let deadline = 0
    for (let pause = 1; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
      try {
        return work()
      } catch (error) {
        const now = performance.now()
        if (deadline === 0) deadline = now + this.options.busyTimeout
        if (!isBusy(error) || now >= deadline) throw explained(error, this.name)
      }
      await sleep(1 + Math.random() * pause)
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

  private allNow(sql: string, params: readonly SqlValue[] = [], enough?: (row: Row) => boolean): Row[] {
    const statement = this.prepare(sql)
    if (enough === undefined) return statement.all(...(params as SQLInputValue[])) as Row[]
    const rows: Row[] = []
    for (const row of statement.iterate(...(params as SQLInputValue[])) as Iterable<Row>) {
      rows.push(row)
      if (enough(row)) break
    }
    return rows
  }

  private runNow(sql: string, params: readonly SqlValue[] = []): number {
    return Number(this.prepare(sql).run(...(params as SQLInputValue[])).changes)
  }

  private runManyNow(sql: string, rows: readonly (readonly SqlValue[])[]): void {
    const statement = this.prepare(sql)
    for (const row of rows) statement.run(...(row as SQLInputValue[]))
  }

  private prepare(sql: string): StatementSync {
    const known = this.prepared.get(sql)
    if (known !== undefined) return known
    if (this.db === undefined)
      throw new BrokerError(`SQLite file ${this.name} is not open: the broker was not started or was stopped`)
    const statement = this.db.prepare(sql)
    this.prepared.set(sql, statement)
    return statement
  }
}
