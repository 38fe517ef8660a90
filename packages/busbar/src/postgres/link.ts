import type { Client, QueryResult } from 'pg'
import { BrokerError } from '../broker/index.ts'
import type { Row, SqlValue, Statements, Values } from '../sql/executor.ts'
import { Lock } from '../sql/lock.ts'
import { type Connector, cutOff } from './connection.ts'
import { explained } from './errors.ts'
import type { Prepared, PreparedStatements } from './statements.ts'
import { type Parameter, parameter } from './values.ts'

/** Milliseconds to wait for a connection to say goodbye. */
const GOODBYE = 5_000

/**
 * One connection that is made when it is needed and made again when it broke. Statements go out at once, one behind the
 * other (pipelining), in the order of the calls; a transaction has the connection for itself.
 */
export class Link {
  /** Called with every new connection, before anything else is asked of it. */
  onConnect: ((client: Client) => Promise<void>) | undefined
  private readonly connector: Connector
  private readonly statements: PreparedStatements
  private readonly lock = new Lock()
  private live: Client | undefined
  private process = 0
  /** Calls that are waiting or under way. */
  load = 0
  /** By `performance.now()`. */
  usedAt = 0

  constructor(connector: Connector, statements: PreparedStatements) {
    this.connector = connector
    this.statements = statements
  }

  get isOpen(): boolean {
    return this.live !== undefined
  }

  /** Process of the server at the other end, now or at last. */
  get pid(): number {
    return this.process
  }

  /** One statement, in a transaction of its own. */
  async query(statement: Prepared, values: Parameter[], rowMode?: 'array'): Promise<QueryResult> {
    this.load++
    this.usedAt = performance.now()
    try {
      const answer = await this.send((client) => ask(client, statement, values, rowMode))
      return await answer.result
    } catch (error) {
      throw explained(error, this.connector.where)
    } finally {
      this.load--
    }
  }

  async transaction<T>(begin: string, work: (sql: Statements) => Promise<T>): Promise<T> {
    this.load++
    this.usedAt = performance.now()
    if (!this.lock.tryAcquire()) await this.lock.acquire()
    try {
      return await this.transact(this.live ?? (await this.connect()), begin, work)
    } catch (error) {
      throw explained(error, this.connector.where)
    } finally {
      this.lock.release()
      this.load--
    }
  }

  /** Makes the connection if there is none. */
  async open(): Promise<void> {
    await this.send(() => ({ result: undefined }))
  }

  /** Resolves when the connection that there is now breaks or is closed. */
  async lost(): Promise<void> {
    const client = this.live
    if (client !== undefined) await new Promise<void>((resolve) => client.once('end', () => resolve()))
  }

  /** Whoever waits for an answer fails now. */
  cut(): void {
    if (this.live !== undefined && this.load > 0) cutOff(this.live)
  }

  async close(): Promise<void> {
    const client = this.live
    this.live = undefined
    if (client !== undefined) await end(client)
  }

  /** Sends when it is its turn, without waiting for the answers of those before. */
  private async send<T>(sending: (client: Client) => T): Promise<T> {
    if (!this.lock.tryAcquire()) await this.lock.acquire()
    try {
      return sending(this.live ?? (await this.connect()))
    } finally {
      this.lock.release()
    }
  }

  private async connect(): Promise<Client> {
    const client = await this.connector.connect()
    const gone = (): void => {
      if (this.live === client) this.live = undefined
    }
    client.on('end', gone)
    client.on('error', () => {
      gone()
      void client.end().catch(() => {})
    })
    try {
      if (!this.connector.closed) await this.onConnect?.(client)
      // Whoever stopped meanwhile found nothing to close yet, and may wait for the end of this connection.
      if (this.connector.closed) throw new BrokerError(`${this.connector.where}: the broker was stopped`)
    } catch (error) {
      await end(client)
      throw error
    }
    this.live = client
    this.process = (client as unknown as { processID: number | null }).processID ?? 0
    return client
  }

  private async transact<T>(client: Client, begin: string, work: (sql: Statements) => Promise<T>): Promise<T> {
    const session = new Session(client, this.statements)
    const began = client.query(begin)
    began.catch(() => {})
    try {
      const result = await work(session)
      await began
      session.ended = true
      const { command } = await client.query('COMMIT')
      // A transaction that failed can be "committed" too: it is rolled back then, without an error.
      if (command === 'COMMIT') return result
      throw new BrokerError(`${this.connector.where}: the transaction was rolled back because a statement in it failed`)
    } catch (error) {
      session.ended = true
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  }
}

/** The statements of a transaction. */
class Session implements Statements {
  /** Committed or rolled back: what comes now would be outside of it. */
  ended = false
  private readonly client: Client
  private readonly statements: PreparedStatements

  constructor(client: Client, statements: PreparedStatements) {
    this.client = client
    this.statements = statements
  }

  async all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    const { rows } = await this.ask(this.statements.of(sql), params.map(parameter))
    return rows as Row[]
  }

  async values(sql: string, params: readonly SqlValue[] = [], enough?: (row: Values) => boolean): Promise<Values[]> {
    const { rows } = await this.ask(this.statements.of(sql), params.map(parameter), 'array')
    return untilEnough(rows, enough)
  }

  async run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    const { rowCount } = await this.ask(this.statements.of(sql), params.map(parameter))
    return rowCount ?? 0
  }

  async runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    if (rows.length === 0) return
    const bulk = rows.length > 1 ? this.statements.bulkOf(sql) : undefined
    if (bulk !== undefined) await this.ask(bulk, bulk.parameters(rows))
    else await Promise.all(rows.map((row) => this.run(sql, row)))
  }

  private ask(statement: Prepared, values: Parameter[], rowMode?: 'array'): Promise<QueryResult> {
    if (this.ended) return Promise.reject(new BrokerError('a statement came after the end of its transaction'))
    return ask(this.client, statement, values, rowMode).result
  }
}

/** Not a promise itself, so that what waits for the sending does not wait for the answer. */
function ask(
  client: Client,
  { name, text }: Prepared,
  values: Parameter[],
  rowMode?: 'array',
): { readonly result: Promise<QueryResult> } {
  return { result: client.query({ name, text, values, ...(rowMode === undefined ? {} : { rowMode }) }) }
}

/** They are all here already: how many there are is bounded by the statement. */
export function untilEnough(rows: Values[], enough: ((row: Values) => boolean) | undefined): Values[] {
  if (enough === undefined) return rows
  const last = rows.findIndex(enough)
  return last < 0 ? rows : rows.slice(0, last + 1)
}

async function end(client: Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      cutOff(client)
      resolve()
    }, GOODBYE)
  })
  await Promise.race([client.end().catch(() => {}), late])
  clearTimeout(timer)
}
