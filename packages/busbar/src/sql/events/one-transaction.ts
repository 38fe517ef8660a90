import { ConcurrencyError, DuplicateEventError, StreamDeletedError } from '../../store/index.ts'
import type { SqlContext } from '../context.ts'
import { appendIn } from './append.ts'
import type { EventsDialect } from './dialect.ts'
import type { Outcome, Prepared, Written } from './prepared.ts'

/**
 * A group of appends one after the other in one transaction that excludes all other writers. What is refused was refused
 * before anything of it was written, so nothing has to be rolled back.
 */
export function inOneTransaction(
  context: SqlContext,
  dialect: EventsDialect,
  appends: readonly Prepared[],
): Promise<readonly Outcome[]> {
  return context.executor.write(async (sql) => {
    const outcomes: Outcome[] = []
    for (const append of appends) {
      try {
        const [written] = await appendIn(sql, dialect, [append])
        outcomes.push({ written: written as Written })
      } catch (error) {
        if (!isRefusal(error)) throw error
        outcomes.push({ error })
      }
    }
    return outcomes
  })
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof ConcurrencyError || error instanceof StreamDeletedError || error instanceof DuplicateEventError
  )
}
