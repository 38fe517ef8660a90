import { isMet, meet } from '../store/index.ts'
import type { EventsDialect } from '../sql/events/dialect.ts'
import { assertNew, idsOf, knownOf, repetition } from '../sql/events/known.ts'
import type { Outcome, Prepared } from '../sql/events/prepared.ts'
import { eventValues, type Place } from '../sql/events/rows.ts'
import { type AppendStatements, statementsOf } from '../sql/events/statements.ts'
import { infoOf, listOf } from '../sql/events/streams.ts'
import type { SqlValue } from '../sql/executor.ts'
import type { SqliteExecutor, StatementsNow } from './executor.ts'

const BEGIN = 'INSERT INTO busbar_streams (stream, revision) VALUES (?, ?)'
const MOVE = 'UPDATE busbar_streams SET revision = ? WHERE stream = ?'
/** Ends an INSERT of one event. */
const UNLESS_KNOWN = ' ON CONFLICT (id) WHERE stream IS NOT NULL DO NOTHING'

/**
 * Commits a group of appends, one after the other in one transaction that excludes all other writers. What is refused was
 * refused before anything of it was written, so nothing has to be rolled back.
 */
export class GroupCommit {
  private readonly dialect: EventsDialect
  private readonly statements: AppendStatements
  private readonly insertUnlessKnown: string

  constructor(dialect: EventsDialect) {
    this.dialect = dialect
    this.statements = statementsOf(dialect)
    this.insertUnlessKnown = this.statements.insertUntold + UNLESS_KNOWN
  }

  run(executor: SqliteExecutor, appends: readonly Prepared[]): Promise<readonly Outcome[]> {
    return executor.writeNow((sql) => appends.map((append) => this.append(sql, append)))
  }

  private append(sql: StatementsNow, append: Prepared): Outcome {
    const { stream, events, expected } = append
    const [row] = sql.all(this.statements.streams(1, true), [stream])
    const info = row === undefined ? { stream, revision: -1, first: 0 } : infoOf(row)
    const revision = info.revision + events.length
    let last: SqlValue | undefined
    // Whether the id of one event is new is found by the INSERT; that of several are looked up, so that all or none are written.
    if (events.length === 1 && isMet(expected, info)) {
      last = sql.insert(this.insertUnlessKnown, valuesOf(append, revision, 0))
    }
    if (last === undefined) {
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
      const rows = events.map((_, index) => valuesOf(append, info.revision + 1 + index, index))
      last = sql.insertMany(this.statements.insertUntold, rows)
    }
    if (row === undefined) sql.run(BEGIN, [stream, revision])
    else sql.run(MOVE, [revision, stream])
    return {
      written: { appended: { stream, revision, position: this.dialect.positionOf(last), repeated: false }, stored: [] },
    }
  }
}

function valuesOf({ stream, events, places, storedAt }: Prepared, revision: number, index: number): SqlValue[] {
  const { message } = events[index] as Prepared['events'][number]
  const { topic, partition } = places[index] as Prepared['places'][number]
  const place: Place = { topic, partition, stream, revision, storedAt }
  return eventValues(message, place)
}
