import fc from 'fast-check'
import { expect, test } from 'vitest'

import { ConfigurationError } from '../../message/errors.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { handClock, settled } from '../fixtures/clock.ts'
import { Ticked } from '../fixtures/contracts.ts'
import { consumeOf, incoming } from '../fixtures/incoming.ts'
import { rateLimit } from './rate-limit.ts'

test('a burst begins at once, the rest one by one, in order, and none is dropped', async () => {
  const clock = handClock()
  await using bus = await memoryBus({ middleware: [rateLimit({ perSecond: 10, burst: 2, clock })] })
  const seen: number[] = []
  await bus.subscribe(Ticked, (event) => void seen.push(event.data.n))
  await bus.publish([1, 2, 3, 4, 5].map((n) => Ticked.create({ n })))
  await settled()
  expect(seen).toEqual([1, 2])
  await clock.advance(99)
  expect(seen).toEqual([1, 2])
  await clock.advance(1)
  expect(seen).toEqual([1, 2, 3])
  await clock.advance(200)
  expect(seen).toEqual([1, 2, 3, 4, 5])
})

test('in no second do more begin than the rate and the burst allow', async () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(
      arrivals,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 5 }),
      async (gaps, perSecond, burst) => {
        const clock = handClock(0)
        const consume = consumeOf(rateLimit({ perSecond, burst, clock }))
        const begun: number[] = []
        const runs = []
        for (const gap of gaps) {
          // Moves the clock without letting timers run late: each begins exactly when its timer is due.
          await clock.advance(gap)
          runs.push(consume(incoming(), async () => begun.push(clock.now())))
        }
        await clock.advance(1_000_000)
        await Promise.all(runs)
        expect(begun).toHaveLength(gaps.length)
        for (const [index, from] of begun.entries()) {
          const inSecond = begun.slice(index).filter((at) => at < from + 1_000 - 1e-6)
          expect(inSecond.length).toBeLessThanOrEqual(perSecond + burst)
        }
      },
    ),
    { numRuns: 15 },
  )
})

test('each key has a limit of its own', async () => {
  const clock = handClock()
  const consume = consumeOf(rateLimit({ perSecond: 1, clock, key: ({ message }) => message.metadata.tenantId ?? '' }))
  const begun: string[] = []
  const run = (tenantId: string) =>
    consume(incoming({ message: Ticked.create({ n: 1 }, { tenantId }) }), async () => begun.push(tenantId))
  const runs = [run('a'), run('a'), run('b')]
  await settled()
  expect(begun).toEqual(['a', 'b'])
  await clock.advance(1_000)
  await Promise.all(runs)
  expect(begun).toEqual(['a', 'b', 'a'])
})

test('a run whose signal is aborted while it waits fails with the reason, never runs, and gives its place back', async () => {
  const clock = handClock()
  const consume = consumeOf(rateLimit({ perSecond: 1, clock }))
  let ran = 0
  const next = async () => void ran++
  await consume(incoming(), next)
  const signal = new AbortController()
  const waiting = consume(incoming({ signal }), next)
  signal.abort(new Error('lease lost'))
  await expect(waiting).rejects.toThrow('lease lost')
  expect(clock.pending).toBe(0)
  const after = consume(incoming(), next)
  await clock.advance(1_000)
  await after
  expect(ran).toBe(2)
})

test('settings that make no sense are refused', () => {
  for (const perSecond of [0, -1, Number.NaN]) expect(() => rateLimit({ perSecond })).toThrow(ConfigurationError)
  for (const burst of [0, 1.5]) expect(() => rateLimit({ perSecond: 1, burst })).toThrow(ConfigurationError)
})
