/** It imports the built library, as every user of it does. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { expectedOf } from './expected.ts'
import { lineOf, runProgram } from './fixtures/program.ts'
import { planOf } from './plan.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'busbar-orders-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('the same seed twice has the same closing line, which is what a plain replay of the plan says', async () => {
  const args = ['--orders', '60', '--seed', '7', '--json']
  const first = await runProgram(...args)
  expect(first.code, first.err).toBe(0)
  const expected = expectedOf(planOf(60, 7))
  expect(lineOf(first)).toEqual({
    orders: 60,
    events: expected.events,
    paid: expected.paid,
    shipped: expected.shipped.size,
    cancelled: expected.cancelled,
    revenue: [...expected.revenue.values()].reduce((sum, cents) => sum + cents, 0),
    parcels: expected.shipped.size,
    duplicates: 0,
    missing: 0,
    rebuilt: true,
    forgotten: 1,
  })
  expect(first.err).toMatch(/order o1 was placed, then paid, then shipped/)
  expect(first.err).not.toMatch(/DIFFERS|"level"/)

  const second = await runProgram(...args)
  expect(second.code, second.err).toBe(0)
  expect(lineOf(second)).toEqual(lineOf(first))
})

test('in a file that is named, which stays; a second run does not mix its orders into it', async () => {
  const file = path.join(folder, 'shop.db')
  const { code, out, err } = await runProgram('--orders', '20', '--database', `sqlite:${file}`)
  expect(code, err).toBe(0)
  expect(out).toMatch(/checked +all as a plain replay/)
  const db = new DatabaseSync(file, { readOnly: true })
  const rows = db.prepare(
    `SELECT count(*) AS orders, sum(email = 'forgotten@example.invalid') AS forgotten FROM orders`,
  )
  const { orders, forgotten } = rows.get() as { orders: number; forgotten: number }
  db.close()
  expect(orders).toBe(20)
  expect(forgotten).toBe(planOf(20, 1).filter(({ customerId }, _, [first]) => customerId === first?.customerId).length)

  const again = await runProgram('--orders', '20', '--database', `sqlite:${file}`)
  expect(again).toMatchObject({ code: 1, out: '' })
  expect(again.err).toMatch(/there are events already in .*shop\.db: name an empty place with --database/)
})

test.each([
  [['--orders', '0'], /'--orders <number>' argument '0' is invalid\. It must be a whole number from 1/],
  [['--database', 'mysql://root:secret@host/db'], /must be 'sqlite:<file>' or 'postgres:\/\/…', not 'mysql:…'/],
  [['--database', 'sqlite:/no/such/folder/shop.db'], /cannot be opened .*name another file with --database/],
  [['--broker', 'memory:'], /It must be a broker that others reach/],
  [['--broker', 'pigeon:'], /unknown scheme; known: memory:, sqlite:/],
])('bad arguments %j are refused with what would be right', async (args, words) => {
  const { code, out, err } = await runProgram(...args)
  expect(code).toBe(1)
  expect(err).toMatch(words)
  expect(err).not.toMatch(/\n\s+at |secret/)
  expect(out).toBe('')
  expect(existsSync('/no/such')).toBe(false)
})
