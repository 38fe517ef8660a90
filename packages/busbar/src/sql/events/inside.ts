import { AsyncLocalStorage } from 'node:async_hooks'
import { TransactionError } from '../../transaction/errors.ts'
import type { Executor } from '../executor.ts'

interface Inside {
  readonly executor: Executor
  isOver: boolean
}

const inside = new AsyncLocalStorage<Inside>()

/** Runs a function that is part of a transaction of this executor, and knows what is called from it. */
export function insideOf<T>(executor: Executor, work: () => Promise<T>): Promise<T> {
  const own: Inside = { executor, isOver: false }
  return inside.run(own, () => work().finally(() => (own.isOver = true)))
}

/**
 * Whoever waits for a transaction of an executor inside of one waits for himself, for ever.
 *
 * @throws TransactionError there.
 *
 * @param what For people.
 */
export function assertOutside(executor: Executor, what: string): void {
  const at = inside.getStore()
  if (at === undefined || at.isOver || at.executor !== executor) return
  throw new TransactionError(
    `${what} was called inside a function that runs in the transaction of an append (an inline projection), without that transaction: ` +
      'it would wait for itself for ever. Give it the transaction that the function was given, or do it after the append',
  )
}
