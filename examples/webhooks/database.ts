/** The example's own tables: what was sent, and what the handlers made of it. Beside the bus's file, never in it. */
import { DatabaseSync } from 'node:sqlite'

import { PlaceError } from './place.ts'

/**
 * - `run` is one job from its start to its settled end, over as many starts of the program as that takes.
 * - `sent` is the ledger: written before the publish, and marked when the broker has confirmed.
 * - `handled` is what each group has handled: `place` is the order in which it was first seen, `times` how often.
 * - `dead` is what was found among the dead letters.
 * - the rest are the read models.
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, rounds INTEGER, retried INTEGER NOT NULL DEFAULT 0,
    redelivered INTEGER NOT NULL DEFAULT 0, finished INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE IF NOT EXISTS sent (
    n INTEGER PRIMARY KEY, run INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, payload INTEGER NOT NULL,
    key TEXT NOT NULL, sequence INTEGER NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sent_unconfirmed ON sent (n) WHERE confirmed = 0;
  CREATE INDEX IF NOT EXISTS sent_run ON sent (run);
  CREATE TABLE IF NOT EXISTS line (key TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS handled (
    place INTEGER PRIMARY KEY, consumer TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL,
    attempt INTEGER NOT NULL, times INTEGER NOT NULL DEFAULT 1, UNIQUE (consumer, id)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS dead (
    consumer TEXT NOT NULL, id TEXT NOT NULL, redriven INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (consumer, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS activity (
    repository TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, latest TEXT NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (repository, kind)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS notification (id TEXT PRIMARY KEY, recipient TEXT NOT NULL, text TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS mirrored (repository TEXT PRIMARY KEY, count INTEGER NOT NULL, latest TEXT NOT NULL) STRICT;
`

/** Opens the tables, and makes them where they are missing. What was committed survives the death of the process. */
export function openDatabase(file: string): DatabaseSync {
  try {
    const database = new DatabaseSync(file, { timeout: 5_000 })
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
    database.exec(SCHEMA)
    return database
  } catch (error) {
    throw new PlaceError(`the example's tables in ${file} cannot be opened`, error)
  }
}

/** Runs `work` in one transaction: all of it is kept, or nothing. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}
