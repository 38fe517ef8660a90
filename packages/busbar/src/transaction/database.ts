import { setTimeout as sleep } from 'node:timers/promises'
import { fromNodeSqlite, type NodeSqliteLike } from './node-sqlite.ts'
import { fromPg, type PgLike } from './pg.ts'
import type { Transaction } from './transaction.ts'

/** A database in which transactions can be begun: a pool of connections, a file. */
export interface Database {
  readonly dialect: Transaction['dialect']
  /** Begins a transaction that may write, runs `work` and commits. Where `work` or the commit fails, nothing of it has happened. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

/** What `pgDatabase` needs of a pool of `pg`. */
export interface PgPoolLike {
  connect(): Promise<PgLike & { release(destroy?: boolean): void }>
}

/** A pool of `pg` as a database. Transactions are READ COMMITTED. */
export function pgDatabase(pool: PgPoolLike): Database {
  return {
    dialect: 'postgres',
    async transaction(work) {
      const client = await pool.connect()
      let destroy = false
      try {
        await client.query('BEGIN', [])
        const result = await work(fromPg(client))
        await client.query('COMMIT', [])
        return result
      } catch (error) {
        // A connection on which not even that works goes, and with it the transaction.
        await client.query('ROLLBACK', []).catch(() => (destroy = true))
        throw error
      } finally {
        client.release(destroy)
      }
    },
  }
}

/** What `sqliteDatabase` needs of a `DatabaseSync` of `node:sqlite`. */
export interface SqliteFileLike extends NodeSqliteLike {
  exec(sql: string): void
}

/** Milliseconds of the longest pause between two tries for the lock of a file. */
const LONGEST_PAUSE = 100

/**
 * A `DatabaseSync` of `node:sqlite` as a database. Its transactions run one after the other; nobody else may begin one on the same
 * `DatabaseSync`. Where another process has the lock it waits without holding up the event loop.
 *
 * @param busyTimeout Milliseconds after which it fails instead. Default 30 000.
 */
export function sqliteDatabase(db: SqliteFileLike, { busyTimeout = 30_000 } = {}): Database {
  let last: Promise<unknown> = Promise.resolve()
  const run = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    await begin(db, busyTimeout)
    try {
      const result = await work(fromNodeSqlite(db))
      db.exec('COMMIT')
      return result
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
  return {
    dialect: 'sqlite',
    transaction(work) {
      const running = last.then(() => run(work))
      last = running.catch(() => {})
      return running
    },
  }
}

async function begin(db: SqliteFileLike, busyTimeout: number): Promise<void> {
  const deadline = performance.now() + busyTimeout
  for (let pause = 1; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
    try {
      db.exec('BEGIN IMMEDIATE')
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
      await sleep(pause * (0.5 + Math.random()))
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && [5, 6].includes(Number(error.errcode) & 0xff)
}
