import type { Message } from 'busbar'
import { expect, test } from 'vitest'

import { openDatabase } from './database.ts'
import { Ledger } from './ledger.ts'
import { payloads } from './payloads.ts'

test('what was published but not marked, because the process died in between, is published again as the same messages', async () => {
  const database = openDatabase(':memory:')
  const ledger = new Ledger(database)
  ledger.plan(150)
  const batches: Message[][] = []
  await ledger.send(async (messages) => void batches.push([...messages]))
  const died = ledger.send(async (messages) => {
    batches.push([...messages])
    throw new Error('killed')
  })
  await expect(died).rejects.toThrow('killed')

  const next = new Ledger(database)
  expect(next).toMatchObject({ run: ledger.run, resumed: true })
  await next.send(async (messages) => void batches.push([...messages]))
  expect(batches.map((batch) => batch.length)).toEqual([100, 50, 50])
  expect(batches[2]?.map(({ id }) => id)).toEqual(batches[1]?.map(({ id }) => id))
  expect(await next.send(() => Promise.reject(new Error('nothing is left to send')))).toBe(0)
})

test('every payload is planned as often as asked, once, however often the job is started', () => {
  const database = openDatabase(':memory:')
  expect(new Ledger(database).planRounds(2)).toBe(2)
  expect(new Ledger(database).planRounds(5)).toBe(2)
  const counts = database.prepare('SELECT payload, count(*) AS times FROM sent GROUP BY payload').all()
  expect(counts).toHaveLength(payloads.length)
  expect(counts.every(({ times }) => times === 2)).toBe(true)
})

test('a finished job is not gone on with: the next start begins one of its own', () => {
  const database = openDatabase(':memory:')
  const first = new Ledger(database)
  first.finish()
  const second = new Ledger(database)
  expect(second.resumed).toBe(false)
  expect(second.run).not.toBe(first.run)
})

test('each message has the next place among those of its key, over all jobs', async () => {
  const database = openDatabase(':memory:')
  new Ledger(database).plan(400)
  new Ledger(database).plan(400)
  const gaps = database
    .prepare('SELECT key FROM sent GROUP BY key HAVING min(sequence) <> 1 OR max(sequence) <> count(*)')
    .all()
  expect(gaps).toEqual([])
})
