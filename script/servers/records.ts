/** What was started and by whom: one file in the server's folder. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerProcess } from './launch.ts'
import type { Ports } from './place.ts'

export interface ServerRecord {
  readonly source: 'docker' | 'native'
  readonly url: string
  readonly ports: Ports
  readonly durable: boolean
  /** Empty for a container. */
  readonly processes: readonly ServerProcess[]
}

export async function readRecord(folder: string): Promise<ServerRecord | undefined> {
  try {
    return JSON.parse(await readFile(fileIn(folder), 'utf8')) as ServerRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${fileIn(folder)} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** A reader sees the record before or this one, never half of it. */
export async function writeRecord(folder: string, record: ServerRecord): Promise<void> {
  await mkdir(folder, { recursive: true })
  const half = `${fileIn(folder)}.half`
  // Its URL has a password.
  await writeFile(half, JSON.stringify(record, undefined, 2), { mode: 0o600 })
  await rename(half, fileIn(folder))
}

export async function removeRecord(folder: string): Promise<void> {
  await rm(fileIn(folder), { force: true })
}

function fileIn(folder: string): string {
  return join(folder, 'record.json')
}
