import { expect, test } from 'vitest'
import { payloads } from './payload.ts'
import { median, ratio, type Sample, series } from './sample.ts'

const sample = (subject: string, value: number): Sample => ({
  suite: 'memory',
  measure: 'consume',
  payloadBytes: 64,
  subject,
  unit: 'msg/s',
  value,
})

test('the median of an odd number of values is the one in the middle, of an even number between the two', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([9, 1, 5, 6])).toBe(5.5)
})

test('a ratio is taken within each round, so that a slow round does not count against one side', () => {
  const samples = [sample('a', 10), sample('b', 5), sample('a', 100), sample('b', 50), sample('a', 30), sample('b', 10)]
  const [a, b] = series(samples)
  expect(a?.values).toEqual([10, 100, 30])
  expect(a && b && ratio(a, b)).toEqual({ median: 2, min: 2, max: 3 })
})

test('every payload is as long as it is said to be', () => {
  for (const bytes of [64, 500]) {
    const payload = payloads(bytes)
    for (const n of [0, 89, 123_456, 9_999_999]) expect(JSON.stringify(payload(n))).toHaveLength(bytes)
  }
  expect(() => payloads(10)).toThrow('not 10')
})
