import type { SqlContext } from './context.ts'
import type { Position } from './dialect.ts'
import type { Statements } from './executor.ts'
import { decodeOpen } from './open-list.ts'
import { countPartitionOn, subtract } from './tallies.ts'
import type { Topic } from './topics.ts'

export interface RetentionOptions {
  /**
   * Milliseconds that a message stays in the log. What a known group has not settled stays longer; events stay until their
   * stream is truncated or deleted, and go when they are settled. `Infinity` keeps everything else. Default 7 days.
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
    const old = this.maxAge === Infinity ? undefined : await executor.write((sql) => this.note(sql))
    const forgotten = await this.forgotten()
    if (old === undefined && forgotten.size === 0) return
    for (const topic of await this.context.topics.all()) {
      for (let partition = 0; partition < topic.partitions; partition++) {
        const place = { topic, partition }
        if (old !== undefined) await this.repeat((sql) => this.sweepSome(sql, place, old))
        if (forgotten.has(`${topic.id}/${partition}`)) await this.repeat((sql) => this.deleteForgotten(sql, place))
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

  /** Until there is nothing left to do, each time in a transaction of its own. */
  private async repeat(some: (sql: Statements) => Promise<boolean>): Promise<void> {
    let more = true
    while (more && !this.stopped) more = await this.context.executor.write(some)
  }

  /**
   * Goes on from where it was: of what it looks at the plain messages are deleted, and events stay, so none is looked at twice.
   * Groups are asked in the same transaction: none can be passed over.
   */
  private async sweepSome(sql: Statements, place: Place, old: Position): Promise<boolean> {
    const { dialect } = this.context
    const here = [place.topic.id, place.partition]
    const [tally] = await sql.all('SELECT swept FROM busbar_tallies WHERE topic = ? AND partition = ?', here)
    const { passed, params } = await this.settledUpTo(sql, place, old)
    const rows = await sql.all(
      `SELECT position FROM busbar_messages WHERE ${passed} AND position > ? ORDER BY position LIMIT ${AT_ONCE}`,
      [...params, tally?.['swept'] ?? dialect.start],
    )
    const last = rows.at(-1)?.['position']
    if (last === undefined) return false
    await countPartitionOn(sql, dialect, place.topic, place.partition)
    const deleted = await sql.run(
      `DELETE FROM busbar_messages WHERE topic = ? AND partition = ? AND position >= ? AND position <= ? AND stream IS NULL`,
      [...here, rows[0]?.['position'] ?? dialect.start, last],
    )
    await subtract(sql, place.topic, place.partition, deleted)
    await sql.run('UPDATE busbar_tallies SET swept = ? WHERE topic = ? AND partition = ?', [last, ...here])
    return rows.length === AT_ONCE
  }

  /** Where there are events that are in no stream any more, as `topic/partition`. */
  private async forgotten(): Promise<ReadonlySet<string>> {
    const rows = await this.context.executor.all(
      'SELECT DISTINCT topic, partition FROM busbar_messages WHERE stream_revision < 0',
    )
    return new Set(rows.map((row) => `${Number(row['topic'])}/${Number(row['partition'])}`))
  }

  /** Of any age: whoever deletes a stream wants its events gone. */
  private async deleteForgotten(sql: Statements, place: Place): Promise<boolean> {
    const { dialect } = this.context
    const [end] = await sql.all(dialect.end)
    const { passed, params } = await this.settledUpTo(sql, place, end?.['position'] ?? dialect.start)
    await countPartitionOn(sql, dialect, place.topic, place.partition)
    const deleted = await sql.run(
      `DELETE FROM busbar_messages WHERE topic = ? AND partition = ? AND position IN
         (SELECT position FROM busbar_messages WHERE ${passed} AND stream_revision < 0 ORDER BY position LIMIT ${AT_ONCE})`,
      [place.topic.id, place.partition, ...params],
    )
    await subtract(sql, place.topic, place.partition, deleted)
    return deleted === AT_ONCE
  }

  /** What every known group has settled, and what is at or before a position. */
  private async settledUpTo(sql: Statements, { topic, partition }: Place, end: Position): Promise<Passed> {
    const { dialect } = this.context
    const cursors = await sql.all('SELECT position, open FROM busbar_cursors WHERE topic = ? AND partition = ?', [
      topic.id,
      partition,
    ])
    const least = (a: Position, b: Position): Position => (dialect.isBefore(b, a) ? b : a)
    const upTo = cursors.map((row) => row['position'] as Position).reduce(least, end)
    const open = cursors.flatMap((row) => decodeOpen(row['open'] as string, dialect).slice(0, 1))
    const [first, ...others] = open.map((item) => item.position)
    const before = first === undefined ? [] : [others.reduce(least, first)]
    return {
      passed: `topic = ? AND partition = ? AND position <= ?${before.length > 0 ? ' AND position < ?' : ''}`,
      params: [topic.id, partition, upTo, ...before],
    }
  }
}

interface Place {
  readonly topic: Topic
  readonly partition: number
}

/** A condition and its parameters. */
interface Passed {
  readonly passed: string
  readonly params: readonly Position[]
}
