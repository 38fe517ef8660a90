/** Where the bus and the example keep what they know. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'

import type { BusConfig } from 'busbar'

/** A file or folder cannot be used. */
export class PlaceError extends Error {
  override readonly name = 'PlaceError'

  constructor(what: string, cause: unknown) {
    super(`${what} (${cause instanceof Error ? cause.message : String(cause)}): name another file with --file`, {
      cause,
    })
  }
}

export interface Place {
  readonly broker: NonNullable<BusConfig['broker']>
  /** The same for people. */
  readonly title: string
  /** The bus's file, where it has one. */
  readonly busFile: string | undefined
  /** The example's own tables: beside the bus's file, so that both are found again together. */
  readonly tables: string
}

/**
 * Milliseconds after which the messages that a killed process held are taken over. Short, because the demo is there to be
 * killed; the default of 10 seconds is kinder to processes that stall.
 */
const LEASE = 3_000

/** Milliseconds that the log keeps what every group has settled: a stream may run for days, and its file must not grow. */
const MAX_AGE = 60_000

/** A place in a file. Makes the folder, for the demo's own may not be there yet. */
export function placeInFile(file: string): Place {
  const busFile = path.resolve(file)
  const folder = path.dirname(busFile)
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new PlaceError(`the folder ${folder} cannot be made`, error)
  }
  const broker = { type: 'sqlite', sqlite: { file: busFile, lease: LEASE, retention: { maxAge: MAX_AGE } } } as const
  return { broker, title: busFile, busFile, tables: beside(busFile) }
}

/** The example's folder for what nobody gave a place. */
const DATA = path.join(import.meta.dirname, 'data')

/** A place that is named by a broker's URL. With `file` the example's tables lie as if the bus were there. */
export function placeAtUrl(url: string, file?: string): Place {
  const title = withoutPassword(url)
  if (file !== undefined) return { ...placeInFile(file), broker: url, title, busFile: undefined }
  const [, named] = /^sqlite:(?:\/\/(?=\/))?([^?]*)/i.exec(url) ?? []
  if (named !== undefined && named !== '') {
    const busFile = path.resolve(decodeURIComponent(named))
    return { broker: url, title, busFile, tables: beside(busFile) }
  }
  if (/^(memory|sqlite):/i.test(url)) return { broker: url, title, busFile: undefined, tables: ':memory:' }
  // A server keeps what was sent; what was made of it must be found again, too.
  const { tables } = placeInFile(path.join(DATA, `${fileName(title)}.db`))
  return { broker: url, title, busFile: undefined, tables }
}

/** A URL as people may see it. */
function withoutPassword(url: string): string {
  return url.replace(/^([^:/]+:\/\/)[^@/]*@/, '$1').replace(/\?.*$/s, '')
}

function fileName(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

function beside(file: string): string {
  const { dir, name } = path.parse(file)
  return path.join(dir, `${name}-models.db`)
}
