import { meet } from '../store/index.ts'
import type { EventsDialect } from '../sql/events/dialect.ts'
import { assertNew, idsOf, knownOf, repetition } from '../sql/events/known.ts'
import type { Outcome, Prepared } from '../sql/events/prepared.ts'
import { eventValues, type Place } from '../sql/events/rows.ts'
import { type AppendStatements, statementsOf } from '../sql/events/statements.ts'
import { infoOf, listOf } from '../sql/events/streams.ts'
import type { SqlValue } from '../sql/executor.ts'
import type { SqliteExecutor, StatementsNow } from './executor.ts'

const BEGIN = 'INSERT INTO busbar_streams (stream, revision) VALUES (?, ?)'
const UNBEGIN = 'DELETE FROM busbar_streams WHERE stream = ?'
const MOVE = 'UPDATE busbar_streams SET revision = ? WHERE stream = ?'
const MOVE_FROM = `${MOVE} AND revision = ? AND deleted_at IS NULL`

/**
 * Commits a group of appends, one after the other in one transaction that excludes all other writers. What is refused was
 * refused before anything of it was written, so nothing has to be rolled back.
 */
export class GroupCommit {
  private readonly dialect: EventsDialect
  private readonly statements: AppendStatements

  constructor(dialect: EventsDialect) {
    this.dialect = dialect
    this.statements = statementsOf(dialect)
  }

  run(executor: SqliteExecutor, appends: readonly Prepared[]): Promise<readonly Outcome[]> {
    return executor.writeNow((sql) => appends.map((append) => this.append(sql, append)))
  }

  private append(sql: StatementsNow, append: Prepared): Outcome {
    return this.appendAtOnce(sql, append) ?? this.appendAfterLook(sql, append)
  }

  /**
   * One event to a stream whose revision is given: the writes find out by themselves whether all is as expected, which is most
   * often so. Undefined, and nothing has changed, where it is not.
   */
  private appendAtOnce(sql: StatementsNow, append: Prepared): Outcome {
    const { stream, events, expected } = append
    if (events.length !== 1 || expected === 'any' || expected === 'exists') return undefined
    const begins = expected === 'none'
    const revision = begins ? 0 : expected + 1
    const isMoved = begins
      ? sql.insert(BEGIN, [stream, revision]) !== undefined
      : sql.run(MOVE_FROM, [revision, stream, expected]) === 1
    if (!isMoved) return undefined
    const last = sql.insert(this.statements.insertUntold, valuesOf(append, revision, 0))
    if (last !== undefined) return this.written(stream, revision, last)
    if (begins) sql.run(UNBEGIN, [stream])
    else sql.run(MOVE, [expected, stream])
    return undefined
  }

  private appendAfterLook(sql: StatementsNow, append: Prepared): Outcome {
    const { stream, events, expected } = append
    const [row] = sql.all(this.statements.streams(1, true), [stream])
    const info = row === undefined ? { stream, revision: -1, first: 0 } : infoOf(row)
    const ids = idsOf([append])
    const known = knownOf(sql.all(this.statements.known(ids.length), [listOf(ids)]), this.dialect)
    const appended = repetition(append, known)
    if (appended !== undefined) return { written: { appended, stored: [] } }
    try {
      meet(expected, info)
      assertNew(stream, events, known)
    } catch (error) {
      return { error }
    }
    const revision = info.revision + events.length
    const rows = events.map((_, index) => valuesOf(append, info.revision + 1 + index, index))
    const last = sql.insertMany(this.statements.insertUntold, rows)
    if (row === undefined) sql.run(BEGIN, [stream, revision])
    else sql.run(MOVE, [revision, stream])
    return this.written(stream, revision, last)
  }

  private written(stream: string, revision: number, last: SqlValue): Outcome {
    const position = this.dialect.positionOf(last)
    return { written: { appended: { stream, revision, position, repeated: false }, stored: [] } }
  }
}

function valuesOf({ stream, events, places, storedAt }: Prepared, revision: number, index: number): SqlValue[] {
  const { message } = events[index] as Prepared['events'][number]
  const { topic, partition } = places[index] as Prepared['places'][number]
  const place: Place = { topic, partition, stream, revision, storedAt }
  return eventValues(message, place)
}
