import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { BrokerError } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { pauseAfter } from '../sql/backoff.ts'
import { useEpoch } from './epoch.ts'
import { explained, isHopeless, PostgresError } from './errors.ts'
import type { Settings } from './options.ts'
import type { Server } from './server.ts'
import { types } from './values.ts'

/** `pg_current_xact_id` and `pg_current_snapshot` came with it. */
const OLDEST = 13

/** Milliseconds for one try to connect. */
const ONE_TRY = 10_000

/** Opens connections to one server and sees to it that they are fit for use: a primary, not too old, with our settings. */
export class Connector {
  readonly where: string
  private readonly server: Server
  private readonly settings: Settings
  private readonly logger: BrokerLogger
  private ending = new AbortController()
  private hurry = Infinity
  private connected = false
  private told = ''

  constructor(server: Server, settings: Settings) {
    this.server = server
    this.where = server.where
    this.settings = settings
    this.logger = settings.logger
  }

  get closed(): boolean {
    return this.ending.signal.aborted
  }

  /**
   * Waits for a server that is away, with backoff, as long as `connectTimeout` says.
   *
   * @throws PostgresError at once where waiting does not help and there never was a connection.
   */
  async connect(): Promise<Client> {
    const patience = performance.now() + this.settings.connectTimeout
    for (let failures = 1; ; failures++) {
      try {
        if (this.closed) throw this.stopped()
        const client = await this.tryOnce()
        this.connected = true
        this.told = ''
        return client
      } catch (error) {
        const pause = pauseAfter(failures)
        if (this.closed || error instanceof ConfigurationError || (!this.connected && isHopeless(error))) throw error
        if (performance.now() + pause > Math.min(patience, this.hurry)) throw this.gaveUp(error)
        this.tell(error)
        await sleep(pause, undefined, { signal: this.ending.signal, ref: true }).catch(() => {})
      }
    }
  }

  /** After a start that failed there may be another one. */
  open(): void {
    if (this.closed) this.ending = new AbortController()
  }

  /** From now on nobody waits longer than so many milliseconds for a server that is away. */
  hurryUp(milliseconds: number): void {
    this.hurry = performance.now() + milliseconds
  }

  /** Ends the waiting; what is open stays open. */
  close(): void {
    this.ending.abort()
  }

  private async tryOnce(): Promise<Client> {
    const { Client } = await loadClient()
    const { statementTimeout, schema } = this.settings
    const client = new Client({
      application_name: 'busbar',
      keepAlive: true,
      connectionTimeoutMillis: ONE_TRY,
      statement_timeout: statementTimeout,
      // An open transaction of a process that hangs would hold back what everybody reads.
      idle_in_transaction_session_timeout: statementTimeout,
      // Where the server is gone without a word.
      query_timeout: statementTimeout + 10_000,
      ...this.server.config,
      pipeline: true,
      types,
    })
    // What it says while nothing is asked of it; whoever uses it hears of it by its end.
    client.on('error', () => {})
    const { signal } = this.ending
    const cut = (): void => cutOff(client)
    signal.addEventListener('abort', cut, { once: true })
    try {
      await client.connect()
      await prepare(client, schema, this.where)
      return client
    } catch (error) {
      void client.end().catch(() => {})
      throw explained(error, this.where)
    } finally {
      signal.removeEventListener('abort', cut)
    }
  }

  private tell(error: unknown): void {
    const text = (error as Error).message
    if (this.told === text) return
    this.told = text
    this.logger.warn({ server: this.where, err: text }, 'no connection to Postgres: trying again')
  }

  private gaveUp(error: unknown): Error {
    const { message } = error as Error
    const text = `${message}; no connection within ${this.settings.connectTimeout} ms ('connectTimeout')`
    return new PostgresError('AWAY', text, error)
  }

  private stopped(): BrokerError {
    return new BrokerError(`${this.where}: the broker was stopped`)
  }
}

/** Without a goodbye: a server that is gone does not answer one. */
export function cutOff(client: Client): void {
  ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

async function prepare(client: Client, schema: string, where: string): Promise<void> {
  const asked = client.query<Record<string, number | string>>(
    `SELECT current_setting('server_version_num')::int4 AS version, pg_is_in_recovery()::text AS standby,
       current_setting('transaction_read_only') AS readonly, current_setting('server_encoding') AS encoding`,
  )
  // The tables are found by their schema alone. Plans are made once, when a table may still be empty: they must not
  // take the one that is right for an empty table.
  const set = client.query(
    `SET search_path TO "${schema}"; SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET jit TO off;
     SET plan_cache_mode TO force_generic_plan; SET client_min_messages TO warning; SET extra_float_digits TO 1`,
  )
  const [{ rows }] = await Promise.all([asked, set])
  refuse(rows[0] ?? {}, where)
  await useEpoch(client, schema)
}

/** @throws PostgresError where this server cannot be used at all */
export function refuse(facts: Readonly<Record<string, unknown>>, where: string): void {
  const { version, standby, readonly, encoding } = facts
  const major = Math.floor(Number(version) / 10_000)
  if (major < OLDEST) {
    throw new PostgresError(
      'VERSION',
      `${where}: the server is Postgres ${major} and Busbar needs ${OLDEST} or later: update it`,
    )
  }
  if (standby === 'true') {
    const text = `${where}: the server is a standby (a replica), which cannot be written to and shows commits late; name the primary ('host')`
    throw new PostgresError('25006', text)
  }
  if (readonly === 'on') {
    const text = `${where}: transactions are read-only for this role or database (default_transaction_read_only); Busbar has to write`
    throw new PostgresError('25006', text)
  }
  if (encoding !== 'UTF8') {
    const text = `${where}: the database has encoding ${String(encoding)}, which cannot keep every character; make one with ENCODING UTF8`
    throw new PostgresError('SETTING', text)
  }
}

async function loadClient() {
  try {
    return await import('pg')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigurationError('the Postgres broker needs the package pg: run npm install pg@8', { cause: error })
  }
}
