import { BrokerError } from '../../broker/index.ts'
import { meet, type Position } from '../../store/index.ts'
import type { SqlValue } from '../executor.ts'
import type { EventsDialect, Rows } from './dialect.ts'
import { assertNew, idsOf, knownOf, repetition } from './known.ts'
import type { Prepared, Written } from './prepared.ts'
import { eventValues } from './rows.ts'
import { statementsOf } from './statements.ts'
import { infosOf, listOf, type LockedInfo } from './streams.ts'

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
  const infos = await infosOf(rows, dialect, names, true)
  // Asked when the streams are locked: what others have just appended to them is known then.
  const ids = idsOf(appends)
  const known = knownOf(await rows.all(statementsOf(dialect).known(ids.length), [listOf(ids)]), dialect)
  const repetitions = appends.map((append) => repetition(append, known))
  const fresh = appends.filter((_, index) => repetitions[index] === undefined)
  for (const { stream, expected, events } of fresh) {
    meet(expected, infos.get(stream) as LockedInfo)
    assertNew(stream, events, known)
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
  const statements = statementsOf(dialect)
  if (dialect.following !== undefined && rows.insertMany !== undefined) {
    return dialect.following(await rows.insertMany(statements.insertUntold, values), values.length)
  }
  const positions: Position[] = []
  for (let next = 0; next < values.length; next += dialect.rowsAtOnce) {
    const some = values.slice(next, next + dialect.rowsAtOnce)
    const found = await rows.all(statements.insert(some.length), some.length === 1 ? some[0] : some.flat())
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
  dialect: EventsDialect,
  { stream, events }: Prepared,
  { revision, carried }: { readonly revision: number; readonly carried: SqlValue },
): Promise<Moved> {
  const { last } = dialect
  const { told, untold } = statementsOf(dialect).move
  const count = events.length
  // What a statement of SQLite tells about its rows it first writes aside, which costs more than moving the stream.
  if (last === undefined && rows.run !== undefined) {
    if ((await rows.run(untold, [stream, count - 1, revision])) !== 1) throw begunElsewhere(stream)
    return { revision: revision + count, last: undefined }
  }
  const [row] = await rows.all(told, [stream, count - 1, ...(last === undefined ? [] : [carried]), revision])
  if (row === undefined) throw begunElsewhere(stream)
  return { revision: Number(row['revision']), last: last === undefined ? undefined : (row[last.column] ?? null) }
}

function begunElsewhere(stream: string): EntangledError {
  return new EntangledError(`stream '${stream}' was begun by somebody else while an append began it: append again`)
}
