import type { Executor, Row, SqlValue, Statements, Values } from '../sql/executor.ts'
import type { Connector } from './connection.ts'
import { isLost, PostgresError } from './errors.ts'
import type { Hints } from './hints.ts'
import { Link, untilEnough } from './link.ts'
import type { PreparedStatements } from './statements.ts'
import { parameter } from './values.ts'

export interface PostgresExecutorOptions {
  readonly connector: Connector
  readonly statements: PreparedStatements
  /** Made if it is not there. */
  readonly schema: string
  /** Most connections, opened when they are needed. With one, everything happens in the order of the calls. */
  readonly connections: number
  readonly hints?: Hints
}

/** The advisory lock of whoever makes or changes tables, the same for all schemas: it is rare. */
export const LOCK_MIGRATIONS = `SELECT pg_advisory_xact_lock(1651864418)`

/** Milliseconds that a statement may go on after the deadline of a stop, and then between two looks at what still does. */
const LATE = 1_000

/** Milliseconds after which a connection beyond the first that nobody used is closed. */
const IDLE = 5_000

const READ = 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY'
const WRITE = 'BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE'

/** Some connections to one server. */
export class PostgresExecutor implements Executor {
  protected readonly connector: Connector
  protected readonly statements: PreparedStatements
  private readonly schema: string
  private readonly connections: number
  private readonly hints: Hints | undefined
  private readonly links: Link[] = []
  private sweeping: NodeJS.Timeout | undefined
  private deadline: NodeJS.Timeout | undefined

  constructor(options: PostgresExecutorOptions) {
    this.connector = options.connector
    this.statements = options.statements
    this.schema = options.schema
    this.connections = options.connections
    this.hints = options.hints
  }

  async open(): Promise<void> {
    this.connector.open()
    const link = this.link()
    const there = await link.query(this.statements.of('SELECT 1 FROM pg_namespace WHERE nspname = ?'), [this.schema])
    if (there.rows.length === 0) await link.transaction(WRITE, (sql) => makeSchema(sql, this.schema))
    this.hints?.start()
  }

  async all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    const { rows } = await this.again((link) => link.query(this.statements.of(sql), params.map(parameter)))
    return rows as Row[]
  }

  async values(sql: string, params: readonly SqlValue[] = [], enough?: (row: Values) => boolean): Promise<Values[]> {
    const { rows } = await this.again((link) => link.query(this.statements.of(sql), params.map(parameter), 'array'))
    return untilEnough(rows, enough)
  }

  async run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    const { rowCount } = await this.link().query(this.statements.of(sql), params.map(parameter))
    return rowCount ?? 0
  }

  async runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    const bulk = rows.length > 1 ? this.statements.bulkOf(sql) : undefined
    if (bulk !== undefined) await this.link().query(bulk, bulk.parameters(rows))
    else await this.write((statements) => statements.runMany(sql, rows))
  }

  read<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.again((link) => link.transaction(READ, work))
  }

  write<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.link().transaction(WRITE, work)
  }

  /** Without a look at the database: hints tell, and where they do not, time does. */
  async changedElsewhere(): Promise<boolean> {
    return this.hints?.changed() ?? false
  }

  announce(): void {
    this.hints?.announce()
  }

  onHint(hint: () => void): void {
    this.hints?.onHint(hint)
  }

  passes(error: unknown): boolean {
    return isLost(error) && !this.connector.closed
  }

  isEntangled(error: unknown): boolean {
    return error instanceof PostgresError && (error.code === '40P01' || error.code === '40001')
  }

  interrupt(): void {
    this.close().catch(() => {})
  }

  hurry(milliseconds: number): void {
    this.connector.hurryUp(milliseconds)
    this.deadline ??= setTimeout(() => this.cutLate(), milliseconds + LATE).unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.sweeping)
    clearTimeout(this.deadline)
    this.connector.close()
    await Promise.all([...this.links.map((link) => link.close()), this.hints?.close()])
  }

  /** The one with the least to do; another one if all are busy and there may be more. */
  protected link(): Link {
    let best: Link | undefined
    for (const link of this.links) if (best === undefined || link.load < best.load) best = link
    if (this.links.length > 1) this.sweeping ??= setTimeout(() => this.sweep(), IDLE).unref()
    if (best !== undefined && (best.load === 0 || this.links.length >= this.connections)) return best
    const link = new Link(this.connector, this.statements)
    this.links.push(link)
    return link
  }

  /** Connections that were needed for a moment are given back. */
  private sweep(): void {
    this.sweeping = undefined
    const since = performance.now() - IDLE
    const idle = this.links.slice(1).filter((link) => link.load === 0 && link.usedAt < since)
    for (const link of idle) {
      this.links.splice(this.links.indexOf(link), 1)
      link.close().catch(() => {})
    }
    if (this.links.length > 1) this.sweeping = setTimeout(() => this.sweep(), IDLE).unref()
  }

  /** Somebody may hold a lock that a statement waits for, and a stop must not wait with it. */
  private cutLate(): void {
    for (const link of this.links) link.cut()
    this.deadline = setTimeout(() => this.cutLate(), LATE).unref()
  }

  /** What only reads may be asked again where the connection broke. */
  private async again<T>(reading: (link: Link) => Promise<T>): Promise<T> {
    try {
      return await reading(this.link())
    } catch (error) {
      if (!isLost(error) || this.connector.closed) throw error
      return await reading(this.link())
    }
  }
}

/** Asked first, because IF NOT EXISTS needs the permission to make one even where there is one. */
async function makeSchema(sql: Statements, schema: string): Promise<void> {
  await sql.all(LOCK_MIGRATIONS)
  await sql.run(`CREATE SCHEMA IF NOT EXISTS "${schema}"`)
}
