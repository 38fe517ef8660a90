import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { SqliteEventStorage } from '../../../sqlite/index.ts'
import type { EventStorage } from '../../../store/index.ts'
import type { TargetOptions } from '../../suite/target.ts'
import type { StorageFaults, UserDatabase } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

/** A file for each namespace. */
function fileOf({ namespace }: TargetOptions): string {
  return join(tmpdir(), `busbar-events-${namespace}.db`)
}

export function createStorage(options: TargetOptions): EventStorage {
  return new SqliteEventStorage({ file: fileOf(options), logger: silent })
}

export function cleanup(options: TargetOptions): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(fileOf(options) + suffix, { force: true })
}

export const userDatabase: UserDatabase = {
  async table(options) {
    const database = open(options)
    database.exec('CREATE TABLE IF NOT EXISTS own_rows (value TEXT NOT NULL)')
    database.close()
    return 'own_rows'
  },

  async begin(options) {
    const database = open(options)
    database.exec('BEGIN IMMEDIATE')
    return {
      tx: {
        dialect: 'sqlite',
        execute: async (sql, params = []) => database.prepare(sql).all(...(params as SQLInputValue[])),
      },
      commit: async () => database.exec('COMMIT'),
      rollback: async () => database.exec('ROLLBACK'),
    }
  },
}

export const faults: StorageFaults = {
  /** Another connection holds the lock for writing. */
  async interrupt(options) {
    const database = open(options)
    database.exec('BEGIN IMMEDIATE')
    return () => {
      database.exec('ROLLBACK')
      database.close()
    }
  },
}

function open(options: TargetOptions): DatabaseSync {
  return new DatabaseSync(fileOf(options), { timeout: 10_000 })
}
