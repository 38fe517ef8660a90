/** Where events, read models, parcels and keys are: an SQLite file, or a schema of a Postgres database. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import type { BusConfig } from 'busbar'
import { type Inbox, pgInbox, sqliteInbox } from 'busbar/inbox'
import { type Database, pgDatabase, sqliteDatabase } from 'busbar/transaction'
import pg from 'pg'

/** The database cannot be used for this. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
}

export interface Place {
  /** For people. */
  readonly title: string
  /** The same for `createEventBus`: as the broker whose log keeps the events, or as the store in front of another broker. */
  readonly log: Extract<NonNullable<BusConfig['store']>, { readonly type: 'sqlite' | 'postgres' }>
  /** Read models and parcels: the database of the log, because inline projections change in the transaction of the append. */
  readonly database: Database
  /** Keys of personal data: best apart from the data, so that a backup of one does not bring back the other. */
  readonly keys: Database
  readonly inbox: Inbox
  /** Closes it, and removes what was made for this run alone. */
  close(): Promise<void>
}

/** @param url `sqlite:<file>` or `postgres://…`; default: a temporary file. */
export async function openPlace(url: string | undefined): Promise<Place> {
  if (url === undefined) return temporaryFile()
  if (/^postgres(ql)?:/i.test(url)) return postgres(url)
  const [, file] = /^sqlite:(?:\/\/(?=\/))?([^?]+)$/i.exec(url) ?? []
  if (file === undefined || file === ':memory:') {
    throw new DatabaseError(
      `the database must be 'sqlite:<file>' or 'postgres://…', not '${url.replace(/:.*/s, ':…')}'`,
    )
  }
  return sqlite(path.resolve(decodeURIComponent(file)))
}

function temporaryFile(): Place {
  const folder = mkdtempSync(path.join(tmpdir(), 'busbar-orders-'))
  const place = sqlite(path.join(folder, 'orders.db'))
  const close = async (): Promise<void> => {
    await place.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...place, title: 'a temporary SQLite file', close }
}

function sqlite(file: string): Place {
  const opened: DatabaseSync[] = []
  const open = (name: string): DatabaseSync => {
    const db = new DatabaseSync(name)
    opened.push(db)
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
    return db
  }
  const { dir, name } = path.parse(file)
  try {
    return {
      title: file,
      log: { type: 'sqlite', sqlite: { file } },
      database: sqliteDatabase(open(file)),
      keys: sqliteDatabase(open(path.join(dir, `${name}-keys.db`))),
      inbox: sqliteInbox(file),
      close: async () => {
        for (const db of opened) db.close()
      },
    }
  } catch (error) {
    for (const db of opened) db.close()
    const reason = error instanceof Error ? error.message : String(error)
    throw new DatabaseError(`${file} cannot be opened (${reason}): name another file with --database sqlite:<file>`)
  }
}

/** In the schema that the URL names (`?schema=shop`), which stays; else in one of this run's own, which goes. */
async function postgres(given: string): Promise<Place> {
  const url = new URL(given)
  const named = url.searchParams.get('schema')
  url.searchParams.delete('schema')
  const schema = named ?? `orders_${randomUUID().slice(0, 8)}`
  // What is read and written here names no schema, and so is found in that one: on our connections and on those of the log.
  const options = `-c search_path=${schema}`
  const pool = new pg.Pool({ connectionString: url.href, max: 10, options })
  // A connection that breaks while nobody uses it; whoever uses one is told by it.
  pool.on('error', () => {})
  try {
    await pool.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`)
  } catch (error) {
    await pool.end()
    const reason = error instanceof Error ? error.message : String(error)
    throw new DatabaseError(`Postgres at ${url.host} cannot be used: ${reason}`)
  }
  return {
    title: `Postgres at ${url.host}, schema ${schema}`,
    log: { type: 'postgres', postgres: { url: url.href, schema, client: { options } } },
    database: pgDatabase(pool),
    keys: pgDatabase(pool),
    inbox: pgInbox(pool),
    close: async () => {
      if (named === null) await pool.query(`DROP SCHEMA ${pg.escapeIdentifier(schema)} CASCADE`)
      await pool.end()
    },
  }
}
