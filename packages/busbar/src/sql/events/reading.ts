import { BEGINNING, type ReadAllOptions, type ReadStreamOptions, type StoredEvent } from '../../store/index.ts'
import type { SqlContext } from '../context.ts'
import type { SqlValue, Values } from '../executor.ts'
import { bodySize } from '../rows.ts'
import type { EventsDialect } from './dialect.ts'
import { MESSAGE_AT, READ_COLUMNS, storedEvent, topicOf } from './rows.ts'
import type { Settling } from './settling.ts'

/** Most events of a page, and about the most bytes of bodies: what a reader holds in memory at a time. */
const PAGE = { events: 1_000, bytes: 4 * 1024 * 1024 }

/** Where events are read from, and in which order. */
interface Source {
  /** What follows FROM, up to the order. */
  readonly from: string
  readonly params: readonly SqlValue[]
  readonly order: string
}

interface Filter {
  readonly types: readonly string[] | undefined
  readonly categories: readonly string[] | undefined
  readonly wanted: number
}

/** Reads events page by page: a page is one query, so a reader holds nothing of the database between two of them. */
export class Reading {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  private readonly messages: string

  private readonly settling: Settling
  private readonly assertRunning: () => void

  constructor(context: SqlContext, dialect: EventsDialect, settling: Settling, assertRunning: () => void) {
    this.settling = settling
    this.assertRunning = assertRunning
    this.context = context
    this.dialect = dialect
    this.messages = `${dialect.schema}busbar_messages`
  }

  stream(stream: string, { direction = 'forwards', from, to, limit }: ReadStreamOptions): AsyncGenerator<StoredEvent> {
    const forwards = direction === 'forwards'
    const [lowest, highest] = forwards ? [from, to] : [to, from]
    let low = Math.max(0, Math.ceil(lowest ?? 0))
    let high = Math.min(Number.MAX_SAFE_INTEGER, Math.floor(highest ?? Infinity))
    const where = 'stream = ? AND stream_revision >= ? AND stream_revision <= ?'
    return this.pages(limit, (last) => {
      if (last !== undefined && forwards) low = last.revision + 1
      if (last !== undefined && !forwards) high = last.revision - 1
      // As they are in the index; forgotten ones have a revision below 0.
      return {
        from: `${this.messages} WHERE ${where}`,
        params: [stream, low, high],
        order: `stream_revision ${forwards ? 'ASC' : 'DESC'}`,
      }
    })
  }

  all({ after = BEGINNING, types, categories, limit }: ReadAllOptions): AsyncGenerator<StoredEvent> {
    let position = after
    const most = types?.length === 0 || categories?.length === 0 ? 0 : limit
    const next = (last: StoredEvent | undefined, wanted: number): Source => {
      if (last !== undefined) position = last.position
      const where = `stream_revision >= 0 AND position > ?${this.dialect.settled}`
      return this.filtered(where, this.dialect.valueOf(position), { types, categories, wanted })
    }
    return this.pages(most, next, () => this.settling.wait())
  }

  correlated(correlationId: string): AsyncGenerator<StoredEvent> {
    let position = BEGINNING
    return this.pages(undefined, (last) => {
      if (last !== undefined) position = last.position
      const where = 'stream_revision >= 0 AND correlation = ? AND position > ?'
      return {
        from: `${this.messages} WHERE ${where}`,
        params: [correlationId, this.dialect.valueOf(position)],
        order: 'position',
      }
    })
  }

  /**
   * Of each type (or each category) the next ones by its own index, and of those the first: so that it costs the same however
   * many others lie between them.
   */
  private filtered(where: string, position: SqlValue, { types, categories, wanted }: Filter): Source {
    if (types === undefined && categories === undefined) {
      return { from: `${this.messages} WHERE ${where}`, params: [position], order: 'position' }
    }
    const [column, values] = types === undefined ? ['category', categories ?? []] : ['type', types]
    const both = types !== undefined && categories !== undefined
    const listed = both ? ` AND ${this.dialect.isListed('category')}` : ''
    const one = `SELECT ${READ_COLUMNS} FROM ${this.messages} WHERE ${column} = ? AND ${where}${listed} ORDER BY position LIMIT ?`
    const parts = [...new Set(values)]
    return {
      from: `(${parts.map(() => `SELECT * FROM (${one}) AS part`).join(' UNION ALL ')}) AS found`,
      params: parts.flatMap((value) => [value, position, ...(both ? [JSON.stringify(categories)] : []), wanted]),
      order: 'position',
    }
  }

  private async *pages(
    limit: number | undefined,
    next: (last: StoredEvent | undefined, wanted: number) => Source,
    first?: () => Promise<void>,
  ): AsyncGenerator<StoredEvent> {
    this.assertRunning()
    await first?.()
    let left = limit ?? Infinity
    let last: StoredEvent | undefined
    while (left > 0) {
      const wanted = Math.min(PAGE.events, Math.ceil(left))
      const { rows, isLast } = await this.page(next(last, wanted), wanted)
      for (const row of rows) {
        last = storedEvent(row, await this.topicName(row), this.dialect)
        yield last
      }
      if (isLast) return
      left -= rows.length
    }
  }

  private async page(
    { from, params, order }: Source,
    wanted: number,
  ): Promise<{ readonly rows: readonly Values[]; readonly isLast: boolean }> {
    let size = 0
    const { endsByBytes } = this.dialect
    const inOrder = `SELECT ${READ_COLUMNS} FROM ${from} ORDER BY ${order} LIMIT ?`
    const text = endsByBytes ? endingByBytes(from, order) : inOrder
    const rows = await this.context.executor.values(
      text,
      [...params, wanted, ...(endsByBytes ? [PAGE.bytes] : [])],
      (row) => (size += bodySize(row, MESSAGE_AT)) >= PAGE.bytes,
    )
    return { rows, isLast: rows.length < wanted && size < PAGE.bytes }
  }

  private topicName(row: Values): string | Promise<string> {
    return this.context.topics.knownName(topicOf(row)) ?? this.context.topics.nameOf(topicOf(row))
  }
}

function endingByBytes(from: string, order: string): string {
  return `SELECT ${READ_COLUMNS} FROM (
      SELECT ${READ_COLUMNS}, sum(octet_length(body)) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
      FROM ${from} ORDER BY ${order} LIMIT ?
    ) AS page WHERE before < ? ORDER BY ${order}`
}
