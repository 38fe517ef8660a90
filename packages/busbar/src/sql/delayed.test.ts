import { expect, test } from 'vitest'
import type { SqlContext } from './context.ts'
import { Delayed } from './delayed.ts'

/** A database in which the next delayed message is due then, and what is done to it. */
function databaseWith(next: number | null): { readonly done: string[]; readonly context: SqlContext } {
  const done: string[] = []
  const executor = {
    all: async () => {
      done.push('read')
      return [{ next }]
    },
    write: async () => {
      done.push('write')
      next = null
      return []
    },
  }
  const context = { executor, dialect: { forUpdate: '' }, now: () => 1_000 }
  return { done, context: context as unknown as SqlContext }
}

test('a first look at delayed messages writes only where one is due, for a write waits for whoever has the lock', async () => {
  for (const next of [null, 1_001]) {
    const { done, context } = databaseWith(next)
    await new Delayed(context).move()
    expect(done).toEqual(['read'])
  }
  const { done, context } = databaseWith(1_000)
  await new Delayed(context).move()
  expect(done).toEqual(['read', 'write', 'read'])
})
