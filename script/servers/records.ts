/** What was started and by whom: one file in the server's folder. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServerProcess } from './launch.ts'
import type { Ports } from './place.ts'
import { ServerError } from './server.ts'

export interface ServerRecord {
  readonly source: 'docker' | 'native'
  readonly url: string
  readonly ports: Ports
  readonly durable: boolean
  /** It was ended by `down`. What is left says under which ports it comes again, so that a URL lives as long as its data. */
  readonly ended?: boolean
  /** Empty for a container. */
  readonly processes: readonly ServerProcess[]
}

export function readRecord(folder: string): ServerRecord | undefined {
  try {
    return JSON.parse(readFileSync(fileIn(folder), 'utf8')) as ServerRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ServerError(
      `${fileIn(folder)} cannot be read, so what it recorded is not known: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
}

/**
 * Written when this returns, so that a process that was started is known from then on, whatever becomes of us. A reader
 * sees the record before or this one, never half of it.
 */
export function writeRecord(folder: string, record: ServerRecord): void {
  mkdirSync(folder, { recursive: true })
  const half = `${fileIn(folder)}.half`
  // Its URL has a password.
  writeFileSync(half, JSON.stringify(record, undefined, 2), { mode: 0o600 })
  renameSync(half, fileIn(folder))
}

function fileIn(folder: string): string {
  return join(folder, 'record.json')
}
