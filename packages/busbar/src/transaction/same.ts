import type { Transaction } from './transaction.ts'

const known = new WeakMap<object, Transaction>()

/** The same transaction for the same handle, so that what is written through it keeps to one line (see `atomically`). */
export function sameFor(handle: object, make: () => Transaction): Transaction {
  const before = known.get(handle)
  if (before !== undefined) return before
  const made = make()
  known.set(handle, made)
  return made
}
