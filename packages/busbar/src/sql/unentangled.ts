import { sleep } from '../broker/backoff.ts'
import { pauseAfter } from './backoff.ts'
import type { Executor, Statements } from './executor.ts'

const TRIES = 10

/**
 * A transaction that is done again where the database ended it because two waited for each other: nothing of it has happened then.
 * `work` may run several times, so it changes nothing but the database.
 */
export async function unentangled<T>(executor: Executor, work: (sql: Statements) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await executor.write(work)
    } catch (error) {
      if (executor.isEntangled?.(error) !== true || tries === TRIES) throw error
      await sleep(pauseAfter(tries))
    }
  }
}
