import { expect, test } from 'vitest'
import { partitionOf } from './partitioning.ts'

test('the partition of a key never changes: stored topics depend on it', () => {
  const keys = ['', 'order-1', 'order-2', 'customer/42', 'Straße', '日本', '😀']
  expect(keys.map((key) => partitionOf(key, 16))).toEqual([12, 2, 11, 3, 0, 13, 11])
})

test('keys spread evenly over the partitions', () => {
  const counts = Array.from({ length: 16 }, () => 0)
  for (let n = 0; n < 16_000; n++) counts[partitionOf(`order-${n}`, 16)]!++
  expect(Math.min(...counts)).toBeGreaterThan(800)
  expect(Math.max(...counts)).toBeLessThan(1_200)
})
