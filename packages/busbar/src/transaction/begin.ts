/** Transactions that are begun, committed and rolled back here, for who has a pool or a file and no library for it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeSqliteLike } from './node-sqlite.ts'
import type { PgLike } from './pg.ts'

/** A client that a pool lends. */
export interface PooledClient extends PgLike {
  query(text: string, values?: unknown[]): ReturnType<PgLike['query']>
  release(error?: Error | boolean): void
}

/** A `Pool` of `pg`, or what is like one. */
export interface PgPoolLike {
  connect(): Promise<PooledClient>
}

/** A `DatabaseSync` of `node:sqlite`, or what is like one. */
export interface SqliteFileLike extends NodeSqliteLike {
  exec(sql: string): void
}

/** Milliseconds; longest pause between two tries to get the lock of a file. */
const LONGEST_PAUSE = 50
/** SQLITE_BUSY: somebody else has the lock. */
const BUSY = 5

export async function inPg<T>(pool: PgPoolLike, work: (client: PooledClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    // A client that cannot roll back is not fit for the next.
    await client.query('ROLLBACK').catch((failed: Error) => (broken = failed))
    throw error
  } finally {
    client.release(broken)
  }
}

/** @param busyTimeout Milliseconds to wait for a lock that somebody else holds; the event loop stays free. */
export async function inSqlite<T>(db: SqliteFileLike, busyTimeout: number, work: () => Promise<T>): Promise<T> {
  await begin(db, performance.now() + busyTimeout)
  try {
    const result = await work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

async function begin(db: SqliteFileLike, deadline: number): Promise<void> {
  for (let pause = 2; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
    try {
      return db.exec('BEGIN IMMEDIATE')
    } catch (error) {
      const code = (error as { readonly errcode?: number }).errcode ?? 0
      if ((code & 0xff) !== BUSY || performance.now() > deadline) throw error
      await sleep(1 + Math.random() * pause)
    }
  }
}
