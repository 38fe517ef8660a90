import type {
  DeadLetter,
  DeadLetterEdit,
  DeadLetterFilter,
  DeadLetterGroup,
  DeadLetterSelection,
  DeadLetterStore,
  FailureReason,
  Page,
} from '../broker/index.ts'
import type { SqlContext } from './context.ts'
import { letterFilter } from './dead-letter-filter.ts'
import type { Row, Statements } from './executor.ts'
import { lockCursor } from './leases.ts'
import { MESSAGE_COLUMNS, messageColumns, messageOf, messageValues } from './rows.ts'
import { advanceLane, putDead } from './set-aside.ts'

const COLUMNS =
  'entry, grp, topic, place, attempts, redeliveries, reason, handler, error_name, error_message, error_stack, ' +
  `first_failed_at, last_failed_at, ${messageColumns}`

/** Letters changed in one transaction. */
const AT_ONCE = 200

const DEFAULT_PAGE = 100

const REDRIVE =
  `UPDATE busbar_set_aside SET state = 'due', due_at = ?, handed = 0, attempts = 0, redeliveries = 0, crashes = 0, ` +
  'first_failed_at = NULL, last_failed_at = NULL, reason = NULL, handler = NULL, error_name = NULL, error_message = NULL, ' +
  `error_stack = NULL, ${MESSAGE_COLUMNS.map((column) => `${column} = ?`).join(', ')} WHERE entry = ? AND state = 'dead'`

/**
 * The dead letters of the SQL broker: rows of the same table as the redeliveries, so that a verdict and its letter are one
 * commit. Parked messages are listed with the reason `parked`; they cannot be redriven (they follow by themselves
 * when what is before them is acked or discarded), but discarded.
 */
export class SqlDeadLetters implements DeadLetterStore {
  private readonly context: SqlContext

  constructor(context: SqlContext) {
    this.context = context
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const { topics, executor } = this.context
    const [topic] = await topics.ensure([letter.topic])
    if (topic === undefined) return
    await executor.write((sql) =>
      putDead(sql, {
        group: letter.group,
        topic: topic.id,
        partition: topics.partitionFor(topic, letter.message.key),
        state: 'dead',
        message: letter.message,
        place: letter.position,
        origin: null,
        lane: letter.message.key,
        dueAt: null,
        attempts: letter.failure.attempts,
        redeliveries: letter.redeliveries,
        crashes: 0,
        firstFailedAt: letter.failure.firstFailedAt,
        failure: letter.failure,
      }),
    )
    this.context.groupChanged(letter.group)
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const rows = await this.rows(filter, page)
    return Promise.all(rows.map((row) => this.letterOf(row)))
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    if (!isEntry(id)) return undefined
    const [row] = await this.context.executor.all(
      `SELECT ${COLUMNS} FROM busbar_set_aside WHERE entry = ? AND state IN ('dead', 'parked')`,
      [Number(id)],
    )
    return row === undefined ? undefined : this.letterOf(row)
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    const { where, params } = letterFilter(filter)
    const [row] = await this.context.executor.all(
      `SELECT COUNT(*) AS count FROM busbar_set_aside WHERE ${where}`,
      params,
    )
    return Number(row?.['count'] ?? 0)
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const { where, params } = letterFilter(filter)
    const rows = await this.context.executor.all(
      `SELECT grp, type, handler, reason, error_name, error_message, COUNT(*) AS count,
         MIN(first_failed_at) AS first_failed_at, MAX(last_failed_at) AS last_failed_at
       FROM busbar_set_aside WHERE ${where}
       GROUP BY grp, type, handler, reason, error_name, error_message ORDER BY COUNT(*) DESC, MIN(entry)`,
      params,
    )
    return rows.map((row) => ({
      group: row['grp'] as string,
      type: row['type'] as string,
      handler: row['handler'] as string,
      reason: row['reason'] as FailureReason,
      errorName: row['error_name'] as string,
      errorMessage: row['error_message'] as string,
      count: Number(row['count']),
      firstFailedAt: Number(row['first_failed_at']),
      lastFailedAt: Number(row['last_failed_at']),
    }))
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    return this.each(which, async (sql, letter) => {
      const edited = edit?.(letter) ?? letter.message
      const message = edited.id === letter.message.id ? edited : { ...edited, id: letter.message.id }
      return (await sql.run(REDRIVE, [this.context.now(), ...messageValues(message), Number(letter.id)])) > 0
    })
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    return this.each(which, async (sql, letter) => {
      const [row] = await sql.all('SELECT grp, topic, partition, lane FROM busbar_set_aside WHERE entry = ?', [
        Number(letter.id),
      ])
      if (row !== undefined) await lockCursor(sql, this.context.dialect, placeOf(row))
      const gone = await sql.run(`DELETE FROM busbar_set_aside WHERE entry = ? AND state IN ('dead', 'parked')`, [
        Number(letter.id),
      ])
      if (gone === 0 || row === undefined) return false
      const lane = row['lane']
      if (typeof lane === 'string') {
        const { group, topic } = placeOf(row)
        await advanceLane(sql, group, topic, lane, this.context.now())
      }
      return true
    })
  }

  /** Runs `change` for each letter of the selection, many in one transaction; returns for how many it was true. */
  private async each(
    which: DeadLetterSelection,
    change: (sql: Statements, letter: DeadLetter) => Promise<boolean>,
  ): Promise<number> {
    let changed = 0
    const groups = new Set<string>()
    for await (const letters of this.chunks(which)) {
      changed += await this.context.executor.write(async (sql) => {
        let count = 0
        for (const letter of letters) if (await change(sql, letter)) count++
        return count
      })
      for (const letter of letters) groups.add(letter.group)
    }
    for (const group of groups) this.context.groupChanged(group)
    return changed
  }

  private async *chunks(which: DeadLetterSelection): AsyncGenerator<readonly DeadLetter[]> {
    if (isIds(which)) {
      for (let from = 0; from < which.length; from += AT_ONCE) {
        const letters = await Promise.all(which.slice(from, from + AT_ONCE).map((id) => this.get(id)))
        yield letters.filter((letter) => letter !== undefined)
      }
      return
    }
    // By ids from here on: a letter that is put aside in the meantime was not meant.
    let page = await this.list(which, { limit: AT_ONCE })
    while (page.length > 0) {
      const next = await this.list(which, { limit: AT_ONCE, after: (page.at(-1) as DeadLetter).id })
      yield page
      page = next
    }
  }

  private async rows(filter: DeadLetterFilter, page: Page): Promise<Row[]> {
    const { where, params } = letterFilter(filter)
    const after = page.after !== undefined && isEntry(page.after) ? Number(page.after) : 0
    return this.context.executor.all(
      `SELECT ${COLUMNS} FROM busbar_set_aside WHERE ${where} AND entry > ? ORDER BY entry LIMIT ?`,
      [...params, after, page.limit ?? DEFAULT_PAGE],
    )
  }

  private async letterOf(row: Row): Promise<DeadLetter> {
    const stack = row['error_stack'] as string | null
    return {
      id: String(row['entry']),
      group: row['grp'] as string,
      topic: await this.context.topics.nameOf(Number(row['topic'])),
      position: row['place'] as string,
      message: messageOf(row),
      redeliveries: Number(row['redeliveries']),
      failure: {
        reason: row['reason'] as FailureReason,
        error: {
          name: row['error_name'] as string,
          message: row['error_message'] as string,
          ...(stack === null ? {} : { stack }),
        },
        handler: row['handler'] as string,
        attempts: Number(row['attempts']),
        firstFailedAt: Number(row['first_failed_at']),
        lastFailedAt: Number(row['last_failed_at']),
      },
    }
  }
}

function placeOf(row: Row): { readonly group: string; readonly topic: number; readonly partition: number } {
  return { group: row['grp'] as string, topic: Number(row['topic']), partition: Number(row['partition']) }
}

function isIds(which: DeadLetterSelection): which is readonly string[] {
  return Array.isArray(which)
}

function isEntry(id: string): boolean {
  return /^\d{1,15}$/.test(id)
}
