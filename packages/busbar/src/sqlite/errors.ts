import { BrokerError } from '../broker/index.ts'

/** The database file cannot be used. The text names the file, what SQLite said and what to do. */
export class SqliteError extends BrokerError {
  override readonly name: string = 'SqliteError'
  readonly file: string
  /** SQLite's name of the error, for example `SQLITE_FULL`; `SQLITE_ERROR` where it is none that Busbar knows. */
  readonly code: string

  constructor(file: string, code: string, message: string, cause: unknown) {
    super(message, { cause })
    this.file = file
    this.code = code
  }
}

interface Explanation {
  readonly code: string
  readonly advice: string
}

/** By primary result code (https://www.sqlite.org/rescode.html). */
const EXPLANATIONS: Readonly<Record<number, Explanation>> = {
  5: {
    code: 'SQLITE_BUSY',
    advice: 'another process holds its lock; end the one that keeps a transaction open, or raise busyTimeout',
  },
  6: { code: 'SQLITE_LOCKED', advice: 'another connection of this process holds its lock' },
  8: {
    code: 'SQLITE_READONLY',
    advice: 'it cannot be written to; check the permissions of the file and of its folder',
  },
  10: { code: 'SQLITE_IOERR', advice: 'the disk failed to read or write; check the disk and the system log' },
  11: {
    code: 'SQLITE_CORRUPT',
    advice: 'it is damaged; restore a backup, or save what can be read with `sqlite3 <file> .recover`',
  },
  13: { code: 'SQLITE_FULL', advice: 'the disk is full or a quota is used up; make room, and publishing works again' },
  14: { code: 'SQLITE_CANTOPEN', advice: 'it cannot be opened; check that its folder exists and may be written to' },
  18: { code: 'SQLITE_TOOBIG', advice: 'a message is larger than SQLite takes' },
  26: {
    code: 'SQLITE_NOTADB',
    advice: 'it is not an SQLite database; give the path of another file, or of one that does not exist yet',
  },
}

const CONSTRAINT = 19
/** SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE. */
const TAKEN = new Set([1555, 2067])

export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === 5 || code === 6
}

/** Whether a unique or primary key has the like already: the statement did nothing, and its transaction goes on. */
export function isTaken(error: unknown): boolean {
  return primaryCode(error) === CONSTRAINT && TAKEN.has((error as { readonly errcode: number }).errcode)
}

/** The same error with the file and what to do. Errors that are not SQLite's stay as they are. */
export function explained(error: unknown, file: string): unknown {
  const code = primaryCode(error)
  if (code === undefined) return error
  const { message } = error as Error
  const known = EXPLANATIONS[code]
  if (known === undefined) return new SqliteError(file, 'SQLITE_ERROR', `SQLite file ${file}: ${message}`, error)
  return new SqliteError(file, known.code, `SQLite file ${file}: ${message} (${known.code}): ${known.advice}`, error)
}

/** SQLite's extended codes have the primary one in their low byte. */
function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}
