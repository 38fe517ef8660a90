import { BrokerError } from '../broker/index.ts'

/** Postgres refused or cannot be reached. The text names the server, what it said and what to do. */
export class PostgresError extends BrokerError {
  override readonly name: string = 'PostgresError'
  /** SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), or the network's own code. */
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.code = code
  }
}

/** The connection broke before the answer came: what was under way may have happened or not. */
export class ConnectionLostError extends PostgresError {
  override readonly name: string = 'ConnectionLostError'
}

/** What to do, by code. */
const ADVICE: Readonly<Record<string, string>> = {
  '28P01': `check 'username' and 'password' (or those of 'url')`,
  '28000': `check 'username' and 'tls', and pg_hba.conf of the server: it lets nobody in like this`,
  '3D000': `check 'database' (or the path of 'url'), or make it: CREATE DATABASE …`,
  '42501':
    `the role lacks a permission. Either let it make the schema itself (GRANT CREATE ON DATABASE …), or make the schema of option 'schema' ` +
    `for it: CREATE SCHEMA … AUTHORIZATION …`,
  '3F000': `check 'schema'`,
  '25006': `it is read-only: a standby or a database with default_transaction_read_only. Busbar needs the primary: check 'host'`,
  '53100': 'its disk is full; make room, and publishing works again',
  '53200': 'it is out of memory',
  '53300': `it has no connection left: raise max_connections there, or lower 'connections' here`,
  '54000': 'a limit of the server is exceeded',
  '55P03': 'another transaction held a lock for too long; see pg_locks',
  '57014': `it took longer than 'statementTimeout', or somebody cancelled it`,
  '40P01': 'two transactions waited for each other; it is tried again where that is safe',
  '22021': 'a text has bytes that Postgres cannot keep (U+0000); send them as bytes',
  '22P05': 'the database cannot keep a character: make it with ENCODING UTF8',
  '0A000': 'the server cannot do this',
  ENOTFOUND: `no such host: check 'host' (or the one of 'url')`,
  ERR_TLS_CERT_ALTNAME_INVALID: `the certificate is for another host: check 'host' or 'tls.servername'`,
}

/** Answers by which waiting does not help. Once there was a connection everything may pass, so then they are not asked. */
const HOPELESS = new Set([
  '28P01',
  '28000',
  '3D000',
  '42501',
  '25006',
  '3F000',
  'ENOTFOUND',
  'TLS',
  'VERSION',
  'SETTING',
])

const TLS = /certificate|self.signed|SSL|TLS|wrong version number|altnames/i

export function isHopeless(error: unknown): boolean {
  if (!(error instanceof PostgresError)) return false
  return HOPELESS.has(error.code)
}

/** The same error with the server and what to do. Errors that have nothing to do with the server stay as they are. */
export function explained(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || error instanceof BrokerError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  // A network with several addresses fails with all of them at once, and no text of its own.
  const { message } = error instanceof AggregateError ? ((error.errors[0] as Error | undefined) ?? error) : error
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code))
    return new PostgresError(code, said(where, message, code), error)
  if (isTls(message, code)) {
    const advice = `no TLS with it: check 'tls' (or sslmode of 'url'); a server with a certificate of its own needs { ca }`
    return new PostgresError('TLS', `${where}: ${message}: ${advice}`, error)
  }
  if (/terminated|connection error|closed|timeout|ECONNRESET|EPIPE/i.test(`${message} ${code ?? ''}`)) {
    return new ConnectionLostError(
      code ?? 'LOST',
      `${where}: the connection broke before the answer came (${message})`,
      error,
    )
  }
  if (code === undefined) return error
  return new PostgresError(code, said(where, message, code), error)
}

/** It broke, or the server ended it. */
export function isLost(error: unknown): boolean {
  if (error instanceof ConnectionLostError) return true
  return error instanceof PostgresError && (/^(57P0|08)/.test(error.code) || /^E[A-Z]+$/.test(error.code))
}

function said(where: string, message: string, code: string): string {
  const advice = ADVICE[code]
  return `${where}: ${message} (${code})${advice === undefined ? '' : `: ${advice}`}`
}

function isTls(message: string, code: string | undefined): boolean {
  return (
    TLS.test(message) || (code !== undefined && /^(ERR_TLS|ERR_SSL|EPROTO|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code))
  )
}
