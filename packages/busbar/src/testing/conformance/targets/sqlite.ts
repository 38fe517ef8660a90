import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Broker } from '../../../broker/index.ts'
import { SqliteBroker } from '../../../sqlite/index.ts'
import { fromNodeSqlite } from '../../../transaction/index.ts'
import type { TargetFaults, TargetOptions, TargetTransaction } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

/** A file for each namespace. */
function fileOf({ namespace }: TargetOptions): string {
  return join(tmpdir(), `busbar-conformance-${namespace}.db`)
}

export function createBroker(options: TargetOptions): Broker {
  const lease = options.lease === undefined ? {} : { lease: options.lease }
  return new SqliteBroker({ file: fileOf(options), logger: silent, ...lease })
}

export function cleanup(options: TargetOptions): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(fileOf(options) + suffix, { force: true })
}

export async function begin(options: TargetOptions): Promise<TargetTransaction> {
  const database = open(options)
  database.exec('BEGIN')
  const end = (how: string) => async (): Promise<void> => {
    database.exec(how)
    database.close()
  }
  return { tx: fromNodeSqlite(database), commit: end('COMMIT'), rollback: end('ROLLBACK') }
}

export const faults: TargetFaults = {
  async failDeadLetters(options) {
    const database = open(options)
    database.exec(`
      CREATE TRIGGER conformance_no_dead_letters BEFORE INSERT ON busbar_set_aside WHEN NEW.state = 'dead'
      BEGIN SELECT RAISE(ABORT, 'the check says so'); END`)
    return () => {
      database.exec('DROP TRIGGER conformance_no_dead_letters')
      database.close()
    }
  },

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
