import type { Outcome, Prepared } from '../sql/events/prepared.ts'
import type { Executor, SqlValue } from '../sql/executor.ts'
import { MESSAGE_COLUMNS, messageValues } from '../sql/rows.ts'
import { categoryOf } from '../store/index.ts'
import { PostgresError } from './errors.ts'
import { columnTypeOf } from './statements.ts'
import { numbers, texts } from './values.ts'

interface Parts {
  readonly schema: string
  /** Epoch and transaction of whoever runs it. */
  readonly next: string
  /** The next number of the log. */
  readonly number: string
}

const MESSAGE_TYPES = MESSAGE_COLUMNS.map(columnTypeOf)

/**
 * Appends to different streams in one statement, which is a transaction by itself: it checks and moves the streams, and writes
 * the events of those that were as expected. A row of the answer for each of these; who has none is looked at alone.
 */
function statement({ schema, next, number }: Parts): string {
  const streams = `${schema}busbar_streams`
  const columns = MESSAGE_COLUMNS.join(', ')
  const begin = (kind: string): string =>
    `INSERT INTO ${streams} AS s (stream, revision, first, last)
     SELECT w.stream, w.count - 1, 0, own.prefix FROM w CROSS JOIN own WHERE w.kind = '${kind}' ORDER BY w.place`
  return `
  WITH w AS MATERIALIZED (
    SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::int8[], ?::int8[], ?::float8[]) WITH ORDINALITY
      AS w (stream, category, kind, expected, count, stored_at, place)
  ), own AS MATERIALIZED (SELECT ${next} AS prefix),
  there AS (
    UPDATE ${streams} s SET revision = s.revision + w.count, last = GREATEST(s.last, own.prefix)
    FROM w CROSS JOIN own
    WHERE s.stream = w.stream AND s.deleted_at IS NULL AND ((w.kind = 'at' AND s.revision = w.expected) OR w.kind = 'exists')
    RETURNING s.stream, s.revision, s.last
  ), begun AS (
    ${begin('none')} ON CONFLICT (stream) DO NOTHING RETURNING s.stream, s.revision, s.last
  ), any_way AS (
    ${begin('any')}
    ON CONFLICT (stream) DO UPDATE SET revision = s.revision + excluded.revision + 1, last = GREATEST(s.last, excluded.last)
    WHERE s.deleted_at IS NULL RETURNING s.stream, s.revision, s.last
  ), moved AS MATERIALIZED (
    SELECT w.*, m.revision AS reached, m.last
    FROM (SELECT * FROM there UNION ALL SELECT * FROM begun UNION ALL SELECT * FROM any_way) m JOIN w ON w.stream = m.stream
  ), written AS (
    INSERT INTO ${schema}busbar_messages
      (topic, partition, stream, stream_revision, category, correlation, stored_at, ${columns}, position)
    SELECT e.topic, e.partition, moved.stream, moved.reached - e.back, moved.category, e.correlation, moved.stored_at,
      ${MESSAGE_COLUMNS.map((column) => `e.${column}`).join(', ')}, moved.last || '.' || ${number}
    FROM unnest(?::int8[], ?::int8[], ?::int4[], ?::int4[], ?::text[], ${MESSAGE_TYPES.map((type) => `?::${type}[]`).join(', ')})
      WITH ORDINALITY AS e (place, back, topic, partition, correlation, ${columns}, number)
    JOIN moved ON moved.place = e.place
    ORDER BY e.number
    RETURNING stream, stream_revision, position
  )
  SELECT moved.place, moved.reached, written.position FROM moved
  JOIN written ON written.stream = moved.stream AND written.stream_revision = moved.reached`
}

/** How often a group is tried again where it and another process waited for each other. */
const TRIES = 3

/** Commits a group of appends, of which no two are to the same stream. */
export function groupStatement(
  parts: Parts,
): (executor: Executor, appends: readonly Prepared[]) => Promise<readonly Outcome[]> {
  const text = statement(parts)
  return async (executor, appends) => {
    // Whoever locks streams does it in the order of their names.
    const sorted = appends.toSorted((a, b) => (a.stream < b.stream ? -1 : 1))
    const params = [...ofStreams(sorted), ...ofEvents(sorted)]
    for (let tries = 1; ; tries++) {
      try {
        const rows = await executor.values(text, params)
        const found = new Map(rows.map(([place, ...row]) => [sorted[Number(place) - 1], row]))
        return appends.map((append) => outcomeOf(append, found.get(append)))
      } catch (error) {
        if (!(error instanceof PostgresError) || error.code !== '40P01' || tries === TRIES) throw error
      }
    }
  }
}

function outcomeOf({ stream }: Prepared, row: readonly SqlValue[] | undefined): Outcome {
  if (row === undefined) return undefined
  const appended = { stream, revision: Number(row[0]), position: row[1] as string, repeated: false }
  return { written: { appended, stored: [] } }
}

function ofStreams(appends: readonly Prepared[]): SqlValue[] {
  const expected = appends.map((append) => append.expected)
  return [
    texts(appends.map(({ stream }) => stream)),
    texts(appends.map(({ stream }) => categoryOf(stream))),
    texts(expected.map((one) => (typeof one === 'number' ? 'at' : one))),
    numbers(expected.map((one) => (typeof one === 'number' ? one : null))),
    numbers(appends.map(({ events }) => events.length)),
    numbers(appends.map(({ storedAt }) => storedAt)),
  ]
}

/** One array for each column. */
function ofEvents(appends: readonly Prepared[]): SqlValue[] {
  const rows = appends.flatMap(({ events, places }, append) =>
    events.map(({ message }, index) => {
      const { topic, partition } = places[index] as Prepared['places'][number]
      const back = events.length - 1 - index
      return messageValues(message, append + 1, back, topic, partition, message.metadata.correlationId)
    }),
  )
  const types = ['int8', 'int8', 'int4', 'int4', 'text', ...MESSAGE_TYPES]
  return types.map((type, index) => {
    const column = rows.map((row) => row[index] ?? null)
    return type === 'text' ? texts(column) : numbers(column)
  })
}
