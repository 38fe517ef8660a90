import { setTimeout as sleep } from 'node:timers/promises'
import type { SqlValue, Statements, Values } from '../sql/executor.ts'
import { APPEND } from '../sql/log.ts'
import { isLost } from './errors.ts'
import { PostgresExecutor, type PostgresExecutorOptions } from './executor.ts'
import { HORIZON } from './horizon.ts'
import { numbers, parameter, texts } from './values.ts'

/** Milliseconds for which the session of a broken connection may take to end what it is at. */
const LAST_WORDS = 2_000
/** Milliseconds between two looks at where the log can be read to. */
const LOOK_EVERY = 1_000

/** Which of some messages are in the log, behind a position. */
const STORED = `
  SELECT m.id FROM unnest(?::int4[], ?::int4[], ?::text[]) AS w (topic, partition, id)
  JOIN busbar_messages m ON m.topic = w.topic AND m.partition = w.partition AND m.position > ? AND m.id = w.id`

const BUSY = `SELECT 1 AS busy FROM pg_stat_activity WHERE pid = ? AND pid <> pg_backend_pid() AND usename = current_user
  AND state <> 'idle' AND query LIKE 'INSERT INTO busbar_%'`

/** A batch whose answer was cut off. */
interface CutOff {
  readonly rows: readonly (readonly SqlValue[])[]
  /** It is behind this in the log, if it is there. */
  readonly since: string
  /** Process of the server that it was sent to. */
  readonly pid: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Appends to the log, in the order of the calls, over one connection. Where that breaks before the answer came, it looks
 * which of the messages are there and sends the others again, in their order and before what was published later: so a
 * server that restarts only delays, and mostly nothing is there twice.
 */
export class PublishingExecutor extends PostgresExecutor {
  private readonly cutOff: CutOff[] = []
  private repairing: Promise<void> | undefined
  /** Before everything that is sent from now on. */
  private since = ''
  private lookedAt = -Infinity

  constructor(options: Omit<PostgresExecutorOptions, 'connections' | 'hints'>) {
    super({ ...options, connections: 1 })
  }

  override async run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    if (sql !== APPEND) return super.run(sql, params)
    await this.runMany(sql, [params])
    return 1
  }

  override async runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    while (this.repairing !== undefined) await this.repairing
    this.look()
    const { since } = this
    const { pid } = this.link()
    try {
      await this.append(sql, rows)
    } catch (error) {
      if (sql !== APPEND || !isLost(error) || this.connector.closed) throw error
      await this.repair({ rows, since, pid })
    }
  }

  /** What is written beside the log is written again as a whole: it may be there twice then. */
  override async write<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    while (this.repairing !== undefined) await this.repairing
    try {
      return await super.write(work)
    } catch (error) {
      if (!isLost(error) || this.connector.closed) throw error
      return await super.write(work)
    }
  }

  /** Not asked again where the connection breaks: what is read behind an append would come before it then. */
  override async values(sql: string, params: readonly SqlValue[] = []): Promise<Values[]> {
    const { rows } = await this.link().query(this.statements.of(sql), params.map(parameter), 'array')
    return rows
  }

  private async append(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
    const [only] = rows
    if (rows.length === 1 && only !== undefined) await super.run(sql, only)
    else await super.runMany(sql, rows)
  }

  /** What is asked here is answered before what is sent next is begun, so that will be behind it in the log. */
  private look(): void {
    const now = performance.now()
    if (now - this.lookedAt < LOOK_EVERY) return
    this.lookedAt = now
    const answer = this.link().query(this.statements.of(`SELECT ${HORIZON} AS position`), [])
    answer.then(
      ({ rows }) => (this.since = (rows[0] as { position: string }).position),
      () => (this.lookedAt = -Infinity),
    )
  }

  private repair(batch: Pick<CutOff, 'rows' | 'since' | 'pid'>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.cutOff.push({ ...batch, resolve, reject })
      this.repairing ??= this.resend().finally(() => (this.repairing = undefined))
    })
  }

  private async resend(): Promise<void> {
    // All that were under way break at the same time, in the order in which they were sent.
    await new Promise((resolve) => setImmediate(resolve))
    for (let next = this.cutOff.shift(); next !== undefined; next = this.cutOff.shift()) {
      try {
        await this.resendOne(next)
        next.resolve()
      } catch (error) {
        next.reject(error)
      }
    }
  }

  private async resendOne({ rows, since, pid }: CutOff): Promise<void> {
    for (;;) {
      try {
        await this.lastWords(pid)
        const stored = await this.stored(rows, since)
        const missing = rows.filter((row) => !stored.has(idOf(row)))
        if (missing.length > 0) await this.append(APPEND, missing)
        return
      } catch (error) {
        // How long a server may be away is for the connector to say.
        if (!isLost(error) || this.connector.closed) throw error
      }
    }
  }

  private async stored(rows: CutOff['rows'], since: string): Promise<ReadonlySet<SqlValue>> {
    const found = await this.values(STORED, [
      numbers(rows.map(([topic = null]) => topic)),
      numbers(rows.map(([, partition = null]) => partition)),
      texts(rows.map(idOf)),
      since,
    ])
    return new Set(found.map(([id = null]) => id))
  }

  /** The session of the connection that broke may still be at its last statement. */
  private async lastWords(pid: number): Promise<void> {
    const deadline = performance.now() + LAST_WORDS
    while ((await this.values(BUSY, [pid])).length > 0 && performance.now() < deadline) await sleep(20)
  }
}

function idOf([, , id = null]: readonly SqlValue[]): SqlValue {
  return id
}
