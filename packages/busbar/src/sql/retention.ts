import type { SqlContext } from './context.ts'
import type { Position } from './dialect.ts'
import type { Statements } from './executor.ts'
import { decodeOpen } from './open-list.ts'
import { countPartitionOn, subtract } from './tallies.ts'
import type { Topic } from './topics.ts'

export interface RetentionOptions {
  /**
   * Milliseconds that a message stays in the log. What a known group has not settled stays longer. `Infinity` keeps
   * everything. Default 7 days.
   */
  readonly maxAge?: number
}

const DAY = 86_400_000
export const DEFAULT_MAX_AGE = 7 * DAY

/** Messages deleted in one transaction: short, so that publishers do not wait. */
const AT_ONCE = 500
/** Milliseconds. */
const LONGEST_PERIOD = 60_000

/**
 * Deletes what is older than the log has to keep, and only what every group that is known has settled. Messages have no
 * time of their own for it (theirs is the publisher's): every now and then the end of the log is noted with the time, and
 * what is before an old enough note is old enough.
 */
export class Retention {
  private readonly context: SqlContext
  private readonly maxAge: number
  private readonly period: number
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> = Promise.resolve()
  private stopped = false

  constructor(context: SqlContext, options: RetentionOptions) {
    this.context = context
    this.maxAge = options.maxAge ?? DEFAULT_MAX_AGE
    this.period = Math.max(10, Math.min(LONGEST_PERIOD, this.maxAge / 10))
  }

  start(): void {
    if (this.maxAge === Infinity) return
    const turn = async (): Promise<void> => {
      try {
        await this.enforce()
      } catch (error) {
        this.context.logger.warn({ err: String(error) }, 'cannot delete old messages: trying again later')
      }
      this.schedule(turn)
    }
    this.schedule(turn)
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    await this.running
  }

  /** Deletes what may go now. */
  async enforce(): Promise<void> {
    const { executor } = this.context
    const old = await executor.write((sql) => this.note(sql))
    if (old === undefined) return
    for (const topic of await this.context.topics.all()) {
      for (let partition = 0; partition < topic.partitions; partition++) {
        let deleted = AT_ONCE
        while (deleted === AT_ONCE && !this.stopped) {
          deleted = await executor.write((sql) => this.deleteSome(sql, topic, partition, old))
        }
      }
    }
  }

  private schedule(turn: () => Promise<void>): void {
    if (this.stopped) return
    this.timer = setTimeout(() => {
      this.running = turn()
    }, this.period)
    this.timer.unref()
  }

  /** Notes where the log ends now; resolves to where it ended when what is before became old enough. */
  private async note(sql: Statements): Promise<Position | undefined> {
    const now = this.context.now()
    const [last] = await sql.all('SELECT MAX(at) AS at FROM busbar_notes')
    if (last === undefined || last['at'] === null || Number(last['at']) <= now - this.period) {
      const [end] = await sql.all(this.context.dialect.end)
      await sql.run('INSERT INTO busbar_notes (at, position) VALUES (?, ?) ON CONFLICT (at) DO NOTHING', [
        now,
        end?.['position'] ?? this.context.dialect.start,
      ])
    }
    const [old] = await sql.all('SELECT at, position FROM busbar_notes WHERE at <= ? ORDER BY at DESC LIMIT 1', [
      now - this.maxAge,
    ])
    if (old === undefined) return undefined
    await sql.run('DELETE FROM busbar_notes WHERE at < ?', [old['at'] as number])
    return old['position']
  }

  /** Groups are asked in the same transaction: none can be passed over. */
  private async deleteSome(sql: Statements, topic: Topic, partition: number, old: Position): Promise<number> {
    const { dialect } = this.context
    const cursors = await sql.all('SELECT position, open FROM busbar_cursors WHERE topic = ? AND partition = ?', [
      topic.id,
      partition,
    ])
    const least = (a: Position, b: Position): Position => (dialect.isBefore(b, a) ? b : a)
    const upTo = cursors.map((row) => row['position'] as Position).reduce(least, old)
    const open = cursors.flatMap((row) => decodeOpen(row['open'] as string, dialect).slice(0, 1))
    const [first, ...others] = open.map((item) => item.position)
    const before = first === undefined ? [] : [others.reduce(least, first)]
    const passed = `topic = ? AND partition = ? AND position <= ?${before.length > 0 ? ' AND position < ?' : ''}`
    const params = [topic.id, partition, upTo, ...before]
    if ((await sql.all(`SELECT position FROM busbar_messages WHERE ${passed} LIMIT 1`, params)).length === 0) return 0
    await countPartitionOn(sql, dialect, topic, partition)
    const deleted = await sql.run(
      `DELETE FROM busbar_messages WHERE topic = ? AND partition = ? AND position IN
         (SELECT position FROM busbar_messages WHERE ${passed} ORDER BY position LIMIT ${AT_ONCE})`,
      [topic.id, partition, ...params],
    )
    await subtract(sql, topic, partition, deleted)
    return deleted
  }
}
