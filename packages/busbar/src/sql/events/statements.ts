import { placeholders } from '../rows.ts'
import type { EventsDialect } from './dialect.ts'
import { EVENT_COLUMNS } from './rows.ts'

/**
 * The texts of an append's statements. They are long and needed for every one, and a text that is put together anew is hashed anew
 * where its prepared statement is looked up.
 */
export interface AppendStatements {
  /** What is known of one stream, or of a list of them; with `locked` until the end of the transaction. */
  streams(count: number, locked: boolean): string
  /** Which of one id, or of a list of them, are there already. */
  known(ids: number): string
  /** Moves a stream on, and tells its revision; or only moves it. */
  readonly move: { readonly told: string; readonly untold: string }
  /** Inserts so many events. */
  insert(rows: number): string
  /** Inserts one event; does not tell its position. */
  readonly insertUntold: string
}

const made = new WeakMap<EventsDialect, AppendStatements>()

export function statementsOf(dialect: EventsDialect): AppendStatements {
  let statements = made.get(dialect)
  if (statements === undefined) made.set(dialect, (statements = make(dialect)))
  return statements
}

function make(dialect: EventsDialect): AppendStatements {
  const { forUpdate } = dialect
  const [one, many] = [streamsOf(dialect, 'stream = ?'), streamsOf(dialect, dialect.isListed('stream'))]
  const locked = { one: one + forUpdate, many: many + forUpdate }
  const known = { one: knownOf(dialect, 'id = ?'), many: knownOf(dialect, dialect.isListed('id')) }
  const move = moveOf(dialect)
  const insertions: string[] = []
  return {
    streams: (count, isLocked) => {
      if (isLocked) return count === 1 ? locked.one : locked.many
      return count === 1 ? one : many
    },
    known: (ids) => (ids === 1 ? known.one : known.many),
    move: {
      told: `${move} RETURNING revision${dialect.last === undefined ? '' : `, ${dialect.last.column}`}`,
      untold: move,
    },
    insert: (rows) => (insertions[rows] ??= `${insertOf(dialect, rows)} RETURNING position`),
    insertUntold: insertOf(dialect, 1),
  }
}

function streamsOf({ schema, last }: EventsDialect, which: string): string {
  return `SELECT stream, revision, first, deleted_at, deleted_by${last === undefined ? '' : `, ${last.column} AS last`}
    FROM ${schema}busbar_streams WHERE ${which} ORDER BY stream`
}

function knownOf({ schema }: EventsDialect, which: string): string {
  return `SELECT id, stream, stream_revision, position FROM ${schema}busbar_messages WHERE ${which} AND stream IS NOT NULL`
}

function moveOf({ schema, last }: EventsDialect): string {
  const [column, next, taken] =
    last === undefined
      ? ['', '', '']
      : [`, ${last.column}`, `, GREATEST(${last.next}, ?)`, `, ${last.column} = excluded.${last.column}`]
  return `INSERT INTO ${schema}busbar_streams AS s (stream, revision, first${column}) VALUES (?, ?, 0${next})
    ON CONFLICT (stream) DO UPDATE SET revision = s.revision + excluded.revision + 1${taken}
    WHERE s.deleted_at IS NULL AND s.revision = ?`
}

function insertOf({ schema, last }: EventsDialect, rows: number): string {
  const columns = last === undefined ? EVENT_COLUMNS.join(', ') : `${EVENT_COLUMNS.join(', ')}, position`
  const marks = placeholders(EVENT_COLUMNS.length)
  const values = last === undefined ? `(${marks})` : `(${marks}, ${last.position})`
  const list = Array.from({ length: rows }, () => values).join(', ')
  return `INSERT INTO ${schema}busbar_messages (${columns}) VALUES ${list}`
}
