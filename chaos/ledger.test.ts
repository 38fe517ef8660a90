import { afterEach, beforeEach, expect, test } from 'vitest'
import { Ledger } from './ledger.ts'
import type { Handling } from './words.ts'

let ledger: Ledger
let now = 0

beforeEach(() => {
  ledger = new Ledger(':memory:', ['billing', 'shipping'])
  now = 0
})
afterEach(() => ledger.close())

const one = (n: number, key = 'a') => ({ key, n })

function publish(...numbers: readonly number[]): void {
  ledger.published(numbers.map((n) => one(n)))
  ledger.confirmed(numbers.map((n) => one(n)))
}

/** One run after the other. */
function handle(group: string, ...numbers: readonly number[]): void {
  for (const n of numbers) run({ group, ...one(n), began: now++, ended: now++ })
}

function run(...handlings: readonly Handling[]): void {
  ledger.handled(handlings, 0)
}

test('what every group has handled in order is handled, with nothing wrong', () => {
  publish(0, 1, 2)
  handle('billing', 0, 1, 2)
  expect(ledger.open()).toBe(3)
  handle('shipping', 0, 1, 2)
  expect(ledger.open()).toBe(0)
  expect(ledger.compare()).toEqual({
    published: 3,
    confirmed: 3,
    handled: 3,
    duplicated: 0,
    outOfOrder: 0,
    lost: 0,
    unknown: 0,
    unconfirmed: 0,
  })
})

test('a confirmed message that one group has not handled is lost', () => {
  publish(0, 1, 2)
  handle('billing', 0, 1, 2)
  handle('shipping', 0, 2)
  expect(ledger.compare()).toMatchObject({ confirmed: 3, handled: 2, lost: 1 })
  expect(ledger.examples()).toEqual(['lost: a 1 in shipping'])
})

test('an unconfirmed message may come or not: it is never lost and never late', () => {
  ledger.published([one(0), one(1), one(2), one(3)])
  ledger.confirmed([one(0), one(2)])
  for (const group of ['billing', 'shipping']) handle(group, 0, 2, 1)
  expect(ledger.compare()).toMatchObject({
    published: 4,
    confirmed: 2,
    handled: 2,
    lost: 0,
    outOfOrder: 0,
    unconfirmed: 1,
  })
})

test('a message whose first run comes after the first run of a later one is out of order, once for each group', () => {
  publish(0, 1, 2, 3)
  handle('billing', 0, 2, 3, 1)
  handle('shipping', 0, 1, 3, 2)
  expect(ledger.compare()).toMatchObject({ outOfOrder: 2, duplicated: 0, lost: 0 })
})

test('a message that comes again is a duplicate and not out of order', () => {
  publish(0, 1, 2)
  handle('billing', 0, 1, 0, 1, 2, 1)
  handle('shipping', 0, 1, 2)
  expect(ledger.compare()).toMatchObject({ duplicated: 3, outOfOrder: 0 })
})

test('a message that begins before the one in front of it has ended is out of order', () => {
  publish(0, 1)
  handle('shipping', 0, 1)
  run({ group: 'billing', ...one(0), began: 10, ended: 20 }, { group: 'billing', ...one(1), began: 15, ended: 16 })
  expect(ledger.compare()).toMatchObject({ outOfOrder: 1 })
})

test('the first run is the one that ended first: a slow process that has lost its message harms nobody', () => {
  publish(0, 1)
  handle('shipping', 0, 1)
  run(
    { group: 'billing', ...one(0), began: 20, ended: 21 },
    { group: 'billing', ...one(1), began: 22, ended: 23 },
    { group: 'billing', ...one(0), began: 10, ended: 30 },
  )
  expect(ledger.compare()).toMatchObject({ outOfOrder: 0, duplicated: 1 })
})

test('keys have an order each, and none among them', () => {
  ledger.published([one(0, 'a'), one(0, 'b'), one(1, 'a'), one(1, 'b')])
  ledger.confirmed([one(0, 'a'), one(0, 'b'), one(1, 'a'), one(1, 'b')])
  for (const group of ['billing', 'shipping']) {
    for (const { key, n } of [one(0, 'b'), one(1, 'b'), one(0, 'a'), one(1, 'a')]) {
      run({ group, key, n, began: now++, ended: now++ })
    }
  }
  expect(ledger.compare()).toMatchObject({ outOfOrder: 0, handled: 4 })
})

test('what nobody published is unknown', () => {
  publish(0)
  handle('billing', 0, 7)
  handle('shipping', 0)
  expect(ledger.compare()).toMatchObject({ unknown: 1, lost: 0 })
})

test('a publisher goes on behind the last number that was published, confirmed or not', () => {
  ledger.published([one(0), one(1), one(2)])
  ledger.confirmed([one(0)])
  expect(ledger.next(['a', 'b'])).toEqual({ a: 3, b: 0 })
})
