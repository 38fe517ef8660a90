import { inPg, inSqlite, type PgPoolLike, type SqliteFileLike } from './begin.ts'
import { fromNodeSqlite } from './node-sqlite.ts'
import { fromPg } from './pg.ts'
import type { Transaction } from './transaction.ts'

/** A database in which transactions can be begun: a pool of connections, a file. */
export interface Database {
  readonly dialect: Transaction['dialect']
  /** Begins a transaction that may write, runs `work` and commits. Where `work` or the commit fails, nothing of it has happened. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

/** A pool of `pg` as a database. Transactions are READ COMMITTED. */
export function pgDatabase(pool: PgPoolLike): Database {
  return { dialect: 'postgres', transaction: (work) => inPg(pool, (client) => work(fromPg(client))) }
}

/**
 * A `DatabaseSync` of `node:sqlite` as a database. Its transactions run one after the other; nobody else may begin one on the same
 * `DatabaseSync`. Where another process has the lock it waits without holding up the event loop.
 *
 * @param busyTimeout Milliseconds after which it fails instead. Default 30 000.
 */
export function sqliteDatabase(db: SqliteFileLike, { busyTimeout = 30_000 } = {}): Database {
  let last: Promise<unknown> = Promise.resolve()
  return {
    dialect: 'sqlite',
    transaction(work) {
      const running = last.then(() => inSqlite(db, busyTimeout, () => work(fromNodeSqlite(db))))
      last = running.catch(() => {})
      return running
    },
  }
}
