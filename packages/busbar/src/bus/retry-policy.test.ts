import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { DecodeError, NonRetryableError, ValidationError } from '../message/index.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { backoff, defaultRetryPolicy, type RetryPolicy } from './retry-policy.ts'

describe('backoff', () => {
  const policies = fc.record({
    minDelay: fc.nat(5_000),
    maxDelay: fc.nat(60_000),
    retry: fc.integer({ min: 1, max: 200 }),
  })

  test('is never below zero and never above its ceiling, which doubles up to the limit', () => {
    fc.assert(
      fc.property(
        policies,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        ({ retry, ...delays }, random) => {
          const policy: RetryPolicy = { ...defaultRetryPolicy, ...delays }
          const ms = backoff(policy, retry, () => random)
          const ceiling = Math.min(delays.maxDelay, delays.minDelay * 2 ** (retry - 1))
          expect(ms).toBeGreaterThanOrEqual(0)
          expect(ms).toBeLessThanOrEqual(ceiling)
        },
      ),
    )
  })

  test('is spread over the whole range: full jitter, not a little around a value', () => {
    expect(backoff(defaultRetryPolicy, 1, () => 0)).toBe(0)
    expect(backoff(defaultRetryPolicy, 1, () => 0.5)).toBe(50)
    expect([1, 2, 3, 4, 5, 6, 7].map((retry) => backoff(defaultRetryPolicy, retry, () => 1))).toEqual([
      100, 200, 400, 800, 1_600, 2_000, 2_000,
    ])
  })
})

test('what makes no sense is refused with the name of the field', async () => {
  await using bus = await memoryBus()
  const cases: readonly (readonly [Partial<RetryPolicy>, string])[] = [
    [{ retries: -1 }, "retry: 'retries' must be a whole number from 0, not -1"],
    [{ retries: Infinity }, "retry: 'retries' must be a whole number from 0, not Infinity"],
    [{ crashes: 0 }, "retry: 'crashes' must be a whole number from 1, not 0"],
    [{ minDelay: Number.NaN }, "retry: 'minDelay' must be 0 or more milliseconds, not NaN"],
    [{ maxDelay: -5 }, "retry: 'maxDelay' must be 0 or more milliseconds, not -5"],
    [{ redeliveries: [1, -1] }, "retry: 'redeliveries[1]' must be 0 or more milliseconds, not -1"],
  ]
  for (const [retry, text] of cases) await expect(bus.subscribe(Ticked, () => {}, { retry })).rejects.toThrow(text)
  expect(bus.subscriptions()).toEqual([])
})

describe('what follows a failure', () => {
  test('retries here with backoff, then redeliveries in turn, each with its retries; then the dead letters', async () => {
    const clock = handClock()
    await using bus = await memoryBus(
      { clock, retry: { retries: 2, minDelay: 8, maxDelay: 8, redeliveries: [1_000, 5_000] } },
      new MemoryBroker({ clock }),
    )
    const runs: { at: number; attempt: number; redeliveries: number }[] = []
    const began = clock.now()
    const subscription = await bus.subscribe(Ticked, (_event, { attempt, redeliveries }) => {
      runs.push({ at: clock.now() - began, attempt, redeliveries })
      throw new Error(`run ${attempt}`)
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await clock.advance(20)
    expect(runs).toHaveLength(3)
    await clock.advance(900)
    expect(runs).toHaveLength(3)
    await clock.advance(10_000)
    await bus.idle()
    expect(runs.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(runs.map(({ redeliveries }) => redeliveries)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2])
    expect(runs[3]!.at - runs[2]!.at).toBeGreaterThanOrEqual(1_000)
    expect(runs[3]!.at - runs[2]!.at).toBeLessThan(1_100)
    expect(runs[6]!.at - runs[5]!.at).toBeGreaterThanOrEqual(5_000)
    expect(subscription.stats()).toMatchObject({ handled: 0, failed: 9, retried: 6, redelivered: 2, deadLettered: 1 })
    const [letter] = await bus.deadLetters.list()
    expect(letter?.redeliveries).toBe(2)
    expect(letter?.failure).toMatchObject({ reason: 'failed', attempts: 9, error: { message: 'run 9' } })
    expect(letter?.failure.firstFailedAt).toBe(began)
    expect(letter?.failure.lastFailedAt).toBe(began + runs[8]!.at)
  })

  test('a handler that succeeds in a retry is handled, and nothing comes again', async () => {
    await using bus = await memoryBus({ retry: { retries: 3, minDelay: 0 } })
    let runs = 0
    const subscription = await bus.subscribe(Ticked, async () => {
      if (++runs < 3) throw new Error('not yet')
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(subscription.stats()).toMatchObject({ handled: 1, failed: 2, retried: 2, redelivered: 0, deadLettered: 0 })
  })

  test('publish is not held up by a handler’s retries', async () => {
    const clock = handClock()
    await using bus = await memoryBus({ clock, retry: { retries: 1, minDelay: 1_000, maxDelay: 1_000 } })
    await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
    await bus.publish(Ticked.create({ n: 1 }))
    await settled()
    await expect(bus.publish(Ticked.create({ n: 2 }))).resolves.toBeUndefined()
    await clock.advance(1_000)
    await bus.idle()
  })

  for (const [name, error] of [
    ['NonRetryableError', new NonRetryableError('never')],
    ['a subclass of it', new (class Refused extends NonRetryableError {})('never')],
    ['ValidationError', new ValidationError('X', 1, [])],
    ['DecodeError', new DecodeError('bytes')],
  ] as const) {
    test(`${name} goes straight to the dead letters`, async () => {
      await using bus = await memoryBus({ retry: defaultRetryPolicy })
      const subscription = await bus.subscribe(Ticked, () => Promise.reject(error))
      await bus.publish(Ticked.create({ n: 1 }))
      await bus.idle()
      expect(subscription.stats()).toMatchObject({ failed: 1, retried: 0, redelivered: 0, deadLettered: 1 })
    })
  }

  test('the policy decides by the error, of the bus or of one subscription', async () => {
    class Busy extends Error {}
    await using bus = await memoryBus({
      retry: { retries: 2, minDelay: 0, redeliveries: [0], retryable: (error) => error instanceof Busy },
    })
    const busy = await bus.subscribe(Ticked, () => Promise.reject(new Busy('busy')))
    const other = await bus.subscribe(Ticked, () => Promise.reject(new Error('other')))
    const own = await bus.subscribe(Ticked, () => Promise.reject(new Error('own')), {
      retry: { retryable: () => true },
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(busy.stats()).toMatchObject({ failed: 6, retried: 4, redelivered: 1, deadLettered: 1 })
    expect(other.stats()).toMatchObject({ failed: 1, retried: 0, redelivered: 0, deadLettered: 1 })
    expect(own.stats()).toMatchObject({ failed: 6, retried: 4, redelivered: 1, deadLettered: 1 })
  })

  test('a policy that throws is told of in the log and stops nothing', async () => {
    const logger = keepingLogger()
    await using bus = await memoryBus({ logger })
    const retryable = (): boolean => {
      throw new Error('policy broke')
    }
    const subscription = await bus.subscribe(Ticked, () => Promise.reject(new Error('no')), {
      retry: { retries: 1, minDelay: 0, retryable },
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(subscription.stats()).toMatchObject({ failed: 2, retried: 1, deadLettered: 1 })
    expect(logger.lines.map((line) => line.fields.error)).toContain('policy broke')
  })

  test('a broker that cannot redeliver goes from the retries to the dead letters', async () => {
    const broker = new MemoryBroker()
    Object.assign(broker.capabilities, { redelivery: false })
    await using bus = await memoryBus({ retry: { redeliveries: [0, 0] } }, broker)
    const subscription = await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(subscription.stats()).toMatchObject({ failed: 1, redelivered: 0, deadLettered: 1 })
  })

  test('a message that killed its process too often is put aside without being run', async () => {
    const broker = new MemoryBroker()
    const subscribe = broker.subscribe.bind(broker)
    // As a broker that counts crashes would hand it out.
    broker.subscribe = (spec, deliver) =>
      subscribe(spec, (delivery) => {
        const dying = delivery.message.subject === 'killer'
        return deliver(Object.create(delivery, { crashes: { value: dying ? 3 : 2 }, attempts: { value: 3 } }))
      })
    await using bus = await memoryBus({}, broker)
    const seen: string[] = []
    await bus.subscribe(OrderPlaced, (event) => void seen.push(event.data.orderId))
    await bus.publish([OrderPlaced.create({ orderId: 'killer' }), OrderPlaced.create({ orderId: 'sound' })])
    await bus.idle()
    expect(seen).toEqual(['sound'])
    const [letter] = await bus.deadLetters.list()
    expect(letter?.failure).toMatchObject({ reason: 'crashed', attempts: 3, error: { name: 'CrashLoopError' } })
  })
})
