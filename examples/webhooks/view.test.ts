import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'

import { Latencies, WINDOW } from './latencies.ts'
import type { Snapshot } from './snapshot.ts'
import { block, line } from './view.ts'

const snapshot: Snapshot = {
  at: 0,
  uptime: 3_723_000,
  published: 12_345,
  publishRate: 199.96,
  groups: [{ group: 'mirror', handled: 12_300, rate: 99.5, lag: 45, retried: 7, redelivered: 3, dead: 2 }],
  latency: { p50: 0, p99: 1_250 },
  mirrorWorks: false,
  fileSize: 41_500_000,
  stopping: false,
  latest: [`octo-org/octo-repo  Codertocat: ${'a long title '.repeat(20)}`],
}

test('the view shows rates, lag, retries, redeliveries and dead letters per group, and latencies', () => {
  const text = block('title', snapshot, 100).map(stripVTControlCharacters).join('\n')
  expect(text).toMatch(/published 12,345 +200\/s +file 41\.5 MB/)
  expect(text).toMatch(/mirror +12,300 +99\.5\/s +45 +7 +3 +2\n/)
  expect(text).toContain('p50 <1 ms  p99 1,250 ms')
  expect(text).toContain('01:02:03')
})

test('no line of the view is as wide as the terminal, or it would wrap and be drawn twice', () => {
  for (const columns of [20, 60, 100]) {
    for (const each of block('title', snapshot, columns)) {
      expect(stripVTControlCharacters(each).length).toBeLessThan(columns)
    }
  }
})

test('where there is no terminal a snapshot is one line without control characters', () => {
  const text = line(snapshot)
  expect(text).toBe(stripVTControlCharacters(text))
  expect(text).not.toContain('\n')
  expect(text).toContain('mirror 12300 (99.5/s) lag 45 retried 7 redelivered 3 dead 2')
})

test('percentiles are of the last seconds only', () => {
  const latencies = new Latencies()
  const start = 1_000_000
  latencies.add(start - 5_000, start)
  expect(latencies.percentiles(start)).toEqual({ p50: 5_000, p99: 5_000 })
  const later = start + WINDOW * 1000
  for (let taken = 1; taken <= 100; taken++) latencies.add(later - taken, later)
  expect(latencies.percentiles(later)).toEqual({ p50: 50, p99: 99 })
  expect(new Latencies().percentiles(start)).toEqual({ p50: undefined, p99: undefined })
})
