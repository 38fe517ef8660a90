import type { SqlContext } from './context.ts'
import { APPEND } from './log.ts'
import { MESSAGE_COLUMNS, messageColumns, placeholders } from './rows.ts'

/** Keeps a message out of the log until its time. Values: due time, topic, partition, then the message's. */
export const DELAY =
  `INSERT INTO busbar_delayed (due_at, topic, partition, ${messageColumns}) ` +
  `VALUES (${placeholders(MESSAGE_COLUMNS.length + 3)})`

/** Most messages moved in one transaction. */
const AT_ONCE = 200

/**
 * Moves delayed messages whose time has come to the end of the log. Any process may do it: each is moved in one
 * transaction, so never twice and never lost.
 */
export class Delayed {
  /** Unix milliseconds of the next one, as far as is known; Infinity: none. At first nobody has looked. */
  next = 0

  private readonly context: SqlContext

  constructor(context: SqlContext) {
    this.context = context
  }

  /** A message was delayed by this process. */
  added(dueAt: number): void {
    this.next = Math.min(this.next, dueAt)
    this.context.executor.announce?.()
  }

  /** Looks again, because another process may have delayed one. */
  async refresh(): Promise<void> {
    const [row] = await this.context.executor.all('SELECT MIN(due_at) AS next FROM busbar_delayed')
    this.next = row?.['next'] === null || row === undefined ? Infinity : Number(row['next'])
  }

  async move(): Promise<void> {
    const { executor, dialect } = this.context
    // To write, one waits for whoever has the lock, and readers wait behind that: not for nothing.
    if (this.next === 0) await this.refresh()
    while (this.next <= this.context.now()) {
      const moved = await executor.write(async (sql) => {
        const rows = await sql.values(
          `SELECT seq, topic, partition, ${messageColumns} FROM busbar_delayed WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?${dialect.forUpdate}`,
          [this.context.now(), AT_ONCE],
        )
        if (rows.length === 0) return rows
        await sql.runMany(
          APPEND,
          rows.map((row) => row.slice(1)),
        )
        await sql.runMany(
          'DELETE FROM busbar_delayed WHERE seq = ?',
          rows.map((row) => row.slice(0, 1)),
        )
        return rows
      })
      for (const [, topic, partition] of moved) this.context.topicGrew(Number(topic), Number(partition))
      await this.refresh()
    }
  }
}
