import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sqliteDialect } from '../sqlite/dialect.ts'
import { afterCrash, decodeOpen, encodeOpen, type OpenItem } from './open-list.ts'

const plain = (position: number): OpenItem => ({ position, attempts: 0, crashes: 0, suspect: false, started: false })

const item = fc.record({
  position: fc.integer({ min: 1, max: 2 ** 52 }),
  attempts: fc.nat(50),
  crashes: fc.nat(5),
  suspect: fc.boolean(),
  started: fc.boolean(),
})

test('every open list is read back as it was written', () => {
  fc.assert(
    fc.property(fc.uniqueArray(item, { selector: (one) => one.position }), (items) => {
      const sorted = items
        .map((one) => ({ ...one, started: one.suspect && one.started }))
        .toSorted((a, b) => a.position - b.position)
      expect(decodeOpen(encodeOpen(sorted, sqliteDialect), sqliteDialect)).toEqual(sorted)
    }),
  )
})

test('a thousand fresh neighbours take two or three bytes each', () => {
  const items = Array.from({ length: 1_000 }, (_, n) => plain(10_000_000 + n * 16))
  expect(encodeOpen(items, sqliteDialect).length).toBeLessThan(3_020)
})

test('after a crash each counts as begun, and only what was known to run as crashed', () => {
  const started = { position: 1, attempts: 2, crashes: 1, suspect: true, started: true }
  const waiting = { position: 2, attempts: 1, crashes: 0, suspect: true, started: false }
  expect(afterCrash([started, waiting, plain(3)], false)).toEqual([
    { position: 1, attempts: 3, crashes: 2, suspect: true, started: false },
    waiting,
    { position: 3, attempts: 1, crashes: 0, suspect: true, started: false },
  ])
  expect(afterCrash([plain(7)], true)).toEqual([
    { position: 7, attempts: 1, crashes: 1, suspect: true, started: false },
  ])
})
