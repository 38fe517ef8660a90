import { randomBytes } from 'node:crypto'
import { ConfigurationError } from '../message/errors.ts'
import type { Database } from '../transaction/database.ts'
import type { SqlParameter, SqlRow } from '../transaction/transaction.ts'
import { KEY_BYTES, seal, unseal } from './cipher.ts'
import { PersonForgottenError } from '../message/personal.ts'
import type { KeyStore } from './keys.ts'

export interface SqlKeyStoreOptions {
  /**
   * The database that keeps the keys (`pgDatabase`, `sqliteDatabase` of busbar/transaction). Best one whose backups do not outlive what the
   * law allows: a key in a backup can read what was forgotten.
   */
  readonly database: Database
  /**
   * 32 bytes, as such or as base64: what keys are encrypted with in the table, so that the table alone reads nothing. Keep it
   * apart from the database. Default: the variable `BUSBAR_MASTER_KEY`.
   */
  readonly masterKey?: Uint8Array | string
}

/** Creating a table twice at once fails in Postgres. */
const LOCK = 'SELECT pg_advisory_xact_lock(7305808869227068)'

/** Keys in a table `busbar_keys` of SQLite or PostgreSQL, which is made when it is first needed. */
export class SqlKeyStore implements KeyStore {
  readonly #database: Database
  readonly #master: Uint8Array
  #made: Promise<void> | undefined

  /** @throws ConfigurationError where there is no master key, or none of 32 bytes. */
  constructor({ database, masterKey = process.env['BUSBAR_MASTER_KEY'] }: SqlKeyStoreOptions) {
    this.#database = database
    this.#master = masterOf(masterKey)
  }

  async find(person: string): Promise<Uint8Array | undefined> {
    await this.#make()
    const [row] = await this.#execute('SELECT sealed FROM busbar_keys WHERE person = ?', [person])
    return this.#opened(row?.['sealed'], person)
  }

  async obtain(person: string): Promise<Uint8Array> {
    await this.#make()
    const sealed = seal(randomBytes(KEY_BYTES).toString('base64'), this.#master, person).toString('base64')
    // Whoever comes first has made it; the others read what is there.
    await this.#execute('INSERT INTO busbar_keys (person, sealed) VALUES (?, ?) ON CONFLICT (person) DO NOTHING', [
      person,
      sealed,
    ])
    const key = await this.find(person)
    if (key === undefined) throw new PersonForgottenError()
    return key
  }

  async forget(person: string): Promise<boolean> {
    await this.#make()
    const now = new Date().toISOString()
    // In this order: from here on nobody can make a key any more.
    await this.#execute(
      'INSERT INTO busbar_keys (person, sealed, forgotten_at) VALUES (?, NULL, ?) ON CONFLICT (person) DO NOTHING',
      [person, now],
    )
    const forgotten = await this.#execute(
      'UPDATE busbar_keys SET sealed = NULL, forgotten_at = ? WHERE person = ? AND sealed IS NOT NULL RETURNING person',
      [now, person],
    )
    return forgotten.length > 0
  }

  async readmit(person: string): Promise<void> {
    await this.#make()
    await this.#execute('DELETE FROM busbar_keys WHERE person = ? AND sealed IS NULL', [person])
  }

  #opened(sealed: unknown, person: string): Uint8Array | undefined {
    if (typeof sealed !== 'string') return undefined
    return Buffer.from(unseal(Buffer.from(sealed, 'base64'), this.#master, person), 'base64')
  }

  #make(): Promise<void> {
    this.#made ??= this.#create().catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  #execute(sql: string, params?: readonly SqlParameter[]): Promise<readonly SqlRow[]> {
    return this.#database.transaction((tx) => tx.execute(sql, params))
  }

  async #create(): Promise<void> {
    await this.#database.transaction(async (tx) => {
      if (tx.dialect === 'postgres') await tx.execute(LOCK)
      await tx.execute(
        'CREATE TABLE IF NOT EXISTS busbar_keys (person TEXT PRIMARY KEY, sealed TEXT, forgotten_at TEXT)',
      )
    })
  }
}

function masterOf(given: Uint8Array | string | undefined): Uint8Array {
  const key = typeof given === 'string' ? Buffer.from(given, 'base64') : given
  if (key?.byteLength === KEY_BYTES) return key
  throw new ConfigurationError(
    `option 'masterKey' must be ${KEY_BYTES} bytes (base64 where it is a text or BUSBAR_MASTER_KEY)` +
      `${key === undefined ? ', and none was given' : `, not ${key.byteLength}`}: make one with 'openssl rand -base64 32'`,
  )
}
