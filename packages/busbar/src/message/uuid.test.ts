import { expect, test } from 'vitest'
import { uuidv7 } from './uuid.ts'

test('ids made in one process sort in the order in which they were made', () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7())
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(ids.length)
})
