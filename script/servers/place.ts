/** Folder, ports and secret of one server. */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { withLock } from './lock.ts'
import { freePort, isFree } from './ports.ts'
import type { Place, Programs, Say, ServerKind } from './server.ts'

export type Ports = Readonly<Record<string, number>>

export interface PlaceOptions {
  /** Made if it is missing. */
  readonly folder: string
  readonly programs: Programs
  readonly durable: boolean
  readonly advertised?: number
  /** Kept where they are still free, so that a URL lives on; others are drawn. */
  readonly wanted?: Ports
}

/** Its programs, installed one at a time: also when several test files want them at once. */
export async function programsOf(kind: ServerKind, cache: string, say: Say): Promise<Programs> {
  return await withLock(cache, () => kind.install(cache, say))
}

export async function placeOf(kind: ServerKind, options: PlaceOptions): Promise<Place> {
  const folder = resolve(options.folder)
  const ports = await portsOf(kind, options.wanted ?? {})
  const secret = await secretOf(folder)
  const { durable, programs, advertised } = options
  return { folder, ports, secret, durable, programs, ...(advertised === undefined ? {} : { advertised }) }
}

export async function portsOf(kind: ServerKind, wanted: Ports): Promise<Ports> {
  const ports: Record<string, number> = {}
  for (const role of kind.ports) {
    const before = wanted[role]
    const keep = before !== undefined && (await isFree(before))
    ports[role] = keep ? before : await freePort(Object.values(ports))
  }
  return ports
}

/** Drawn once for each folder, which is made if it is missing: what initialised the data with it finds it again. */
export async function secretOf(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'secret')
  try {
    const secret = await readFile(file, 'utf8')
    if (secret !== '') return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const secret = randomBytes(16).toString('hex')
  await writeFile(file, secret, { mode: 0o600 })
  return secret
}
