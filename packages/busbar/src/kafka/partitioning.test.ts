import { expect, test } from 'vitest'
import { murmur2, partitionOfKey } from './partitioning.ts'

/** From the tests of Kafka's own client for Java. */
const known: readonly (readonly [string, number])[] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test.each(known)('the hash of %s is that of the client for Java', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test('keys are spread over all partitions', () => {
  const counts = Array.from({ length: 8 }, () => 0)
  for (let n = 0; n < 8_000; n++) {
    const partition = partitionOfKey(`order-${n}`, 8)
    counts[partition] = (counts[partition] ?? 0) + 1
  }
  for (const count of counts) expect(count).toBeGreaterThan(800)
})
