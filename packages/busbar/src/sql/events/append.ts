import { BrokerError } from '../../broker/index.ts'
import { type Append, type Appended, DuplicateEventError, meet, type Position } from '../../store/index.ts'
import type { SqlValue } from '../executor.ts'
import { placeholders } from '../rows.ts'
import type { EventsDialect, Rows } from './dialect.ts'
import type { Prepared, Written } from './prepared.ts'
import { EVENT_COLUMNS, eventValues } from './rows.ts'
import { infosOf, type LockedInfo } from './streams.ts'

/** Somebody else came between, and nothing was written. Tried again it is seen what they did. */
export class EntangledError extends BrokerError {
  override readonly name: string = 'EntangledError'
}

/**
 * Appends inside a transaction, whoever's it is. Everything is checked before anything is written, so what is refused has
 * changed nothing; and streams are locked in the order of their names, so that two of them do not wait for each other.
 */
export async function appendIn(
  rows: Rows,
  dialect: EventsDialect,
  appends: readonly Prepared[],
): Promise<readonly Written[]> {
  const names = appends.map(({ stream }) => stream)
  const infos = await infosOf(rows, dialect, names, dialect.forUpdate)
  // Asked when the streams are locked: what others have just appended to them is known then.
  const known = await knownIds(rows, dialect, appends)
  const repetitions = appends.map((append) => repetition(append, known))
  const fresh = appends.filter((_, index) => repetitions[index] === undefined)
  for (const { stream, expected, events } of fresh) {
    meet(expected, infos.get(stream) as LockedInfo)
    const taken = events.find(({ message }) => known.has(message.id))
    if (taken !== undefined) throw new DuplicateEventError(stream, taken.message.id)
  }
  const carried = fresh.map(({ stream }) => infos.get(stream)?.last ?? '').reduce((a, b) => (a < b ? b : a), '')
  const written = new Map<Prepared, Written>()
  for (const append of fresh.toSorted((a, b) => (a.stream < b.stream ? -1 : 1))) {
    const { revision } = infos.get(append.stream) as LockedInfo
    written.set(append, await write(rows, dialect, append, { revision, carried }))
  }
  return appends.map((append, index) => {
    const appended = repetitions[index]
    return appended === undefined ? (written.get(append) as Written) : { appended, stored: [] }
  })
}

interface Known {
  readonly stream: string
  readonly revision: number
  readonly position: Position
}

/** Those of the events whose ids are in the store; also of events that are forgotten, while the log has them. */
async function knownIds(
  rows: Rows,
  dialect: EventsDialect,
  appends: readonly Prepared[],
): Promise<ReadonlyMap<string, Known>> {
  const ids = appends.flatMap(({ events }) => events.map(({ message }) => message.id))
  const found = await rows.all(
    `SELECT id, stream, stream_revision, position FROM ${dialect.schema}busbar_messages
     WHERE ${ids.length === 1 ? 'id = ?' : dialect.isListed('id')} AND stream IS NOT NULL`,
    [ids.length === 1 ? (ids[0] ?? null) : JSON.stringify(ids)],
  )
  return new Map(
    found.map((row) => {
      const revision = Number(row['stream_revision'])
      const known = {
        stream: row['stream'] as string,
        revision: revision < 0 ? -1 - revision : revision,
        position: dialect.positionOf(row['position']),
      }
      return [row['id'] as string, known]
    }),
  )
}

/** What the first append of the same events answered. */
function repetition({ stream, events }: Append, known: ReadonlyMap<string, Known>): Appended | undefined {
  const places = events.map(({ message }) => known.get(message.id))
  const first = places[0]
  const last = places.at(-1)
  if (first === undefined || last === undefined) return undefined
  const isSame = places.every((one, index) => one?.stream === stream && one.revision === first.revision + index)
  return isSame ? { stream, revision: last.revision, position: last.position, repeated: true } : undefined
}

async function write(
  rows: Rows,
  dialect: EventsDialect,
  append: Prepared,
  from: { readonly revision: number; readonly carried: SqlValue },
): Promise<Written> {
  const { stream, events, places, storedAt } = append
  const moved = await move(rows, dialect, append, from)
  const begin = moved.revision - events.length + 1
  const values = events.map(({ message }, index) => {
    const { topic, partition } = places[index] as Prepared['places'][number]
    const row = eventValues(message, { topic, partition, stream, revision: begin + index, storedAt })
    if (moved.last !== undefined) row.push(moved.last)
    return row
  })
  const positions = await insert(rows, dialect, values)
  const stored = events.map(({ topic, message }, index) => ({
    stream,
    revision: begin + index,
    position: positions[index] as Position,
    storedAt,
    topic,
    message,
  }))
  const position = positions.at(-1) as Position
  return { appended: { stream, revision: moved.revision, position, repeated: false }, stored }
}

/** Resolves to the positions, in order. */
async function insert(rows: Rows, dialect: EventsDialect, values: readonly SqlValue[][]): Promise<Position[]> {
  if (dialect.following !== undefined && rows.runMany !== undefined && values.length > 1) {
    await rows.runMany(insertion(dialect, 1).replace(RETURNING, ''), values)
    const [row] = await rows.all(dialect.end)
    return dialect.following(row?.['position'] ?? null, values.length)
  }
  const positions: Position[] = []
  for (let next = 0; next < values.length; next += dialect.rowsAtOnce) {
    const some = values.slice(next, next + dialect.rowsAtOnce)
    const found = await rows.all(insertion(dialect, some.length), some.length === 1 ? some[0] : some.flat())
    positions.push(...found.map((row) => dialect.positionOf(row['position'])))
  }
  // They come in the order of the rows; but nothing in SQL promises it.
  return positions.sort()
}

interface Moved {
  /** Of the last of the events. */
  readonly revision: number
  readonly last: SqlValue | undefined
}

/**
 * Moves the stream on. One that is there is locked; one that is not may be begun by somebody else at this very moment.
 *
 * @param carried What all streams of the append carry on together, so that readers see all of their events or none.
 */
async function move(
  rows: Rows,
  { schema, last }: EventsDialect,
  { stream, events }: Prepared,
  { revision, carried }: { readonly revision: number; readonly carried: SqlValue },
): Promise<Moved> {
  const [column, next, taken] =
    last === undefined
      ? ['', '', '']
      : [`, ${last.column}`, `, GREATEST(${last.next}, ?)`, `, ${last.column} = excluded.${last.column}`]
  const [row] = await rows.all(
    `INSERT INTO ${schema}busbar_streams AS s (stream, revision, first${column}) VALUES (?, ?, 0${next})
     ON CONFLICT (stream) DO UPDATE SET revision = s.revision + excluded.revision + 1${taken}
     WHERE s.deleted_at IS NULL AND s.revision = ? RETURNING revision${column}`,
    [stream, events.length - 1, ...(last === undefined ? [] : [carried]), revision],
  )
  if (row === undefined) {
    throw new EntangledError(`stream '${stream}' was begun by somebody else while an append began it: append again`)
  }
  return { revision: Number(row['revision']), last: last === undefined ? undefined : (row[last.column] ?? null) }
}

const RETURNING = ' RETURNING position'

/** By number of rows: they are long, and each is needed again and again. */
const insertions = new WeakMap<EventsDialect, string[]>()

function insertion(dialect: EventsDialect, rows: number): string {
  let texts = insertions.get(dialect)
  if (texts === undefined) insertions.set(dialect, (texts = []))
  return (texts[rows] ??= insertionOf(dialect, rows))
}

function insertionOf({ schema, last }: EventsDialect, rows: number): string {
  const columns = last === undefined ? EVENT_COLUMNS.join(', ') : `${EVENT_COLUMNS.join(', ')}, position`
  const marks = placeholders(EVENT_COLUMNS.length)
  const values = last === undefined ? `(${marks})` : `(${marks}, ${last.position})`
  const list = Array.from({ length: rows }, () => values).join(', ')
  return `INSERT INTO ${schema}busbar_messages (${columns}) VALUES ${list}${RETURNING}`
}
