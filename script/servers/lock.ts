import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Runs `work` while no other process does so with the same folder. The lock is SQLite's own on a file, so it ends with the
 * process that holds it, however that ends.
 */
export async function withLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await mkdir(folder, { recursive: true })
  const database = new DatabaseSync(join(folder, 'lock.db'))
  try {
    while (!isTaken(database)) await sleep(100)
    return await work()
  } finally {
    database.close()
  }
}

function isTaken(database: DatabaseSync): boolean {
  const busy = 5
  try {
    database.exec('BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    if ((error as { errcode?: number }).errcode === busy) return false
    throw error
  }
}
