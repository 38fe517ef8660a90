import { validate, version } from 'uuid'
import { expect, test } from 'vitest'
import { uuidv7 } from './uuid.ts'

const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

test('ids are UUIDs of version 7', () => {
  for (let i = 0; i < 1000; i++) {
    const id = uuidv7()
    expect(validate(id)).toBe(true)
    expect(version(id)).toBe(7)
  }
})

test('ids made in one process sort in the order in which they were made', () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7())
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(ids.length)
})

// From here on the clock of this file is ahead: these tests come last.
test('an id holds the time when it was made', () => {
  const now = Date.now() + 60_000
  expect(timeOf(uuidv7(now))).toBe(now)
})

test('more ids than fit a millisecond borrow from the next one, and a clock that steps back changes nothing', () => {
  const now = Date.now() + 120_000
  const ids = Array.from({ length: 10_000 }, (_, i) => uuidv7(i % 2 === 0 ? now : now - 5000))
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(10_000)
  expect(timeOf(ids.at(-1) ?? '')).toBe(now + 2)
})
