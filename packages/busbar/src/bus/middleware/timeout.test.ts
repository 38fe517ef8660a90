import { expect, test } from 'vitest'

import { ConfigurationError } from '../../message/errors.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { handClock, settled } from '../fixtures/clock.ts'
import { Ticked } from '../fixtures/contracts.ts'
import { consumeOf, incoming } from '../fixtures/incoming.ts'
import { timeout, TimeoutError } from './timeout.ts'

test('a run that takes too long fails with TimeoutError, and its signal is aborted with the same error', async () => {
  const clock = handClock()
  await using bus = await memoryBus({ middleware: [timeout({ ms: 50, clock })] })
  let signal: AbortSignal | undefined
  await bus.subscribe(Ticked, (_event, context) => {
    signal = context.signal
    return new Promise(() => {})
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await settled()
  expect(signal?.aborted).toBe(false)
  await clock.advance(49)
  expect(signal?.aborted).toBe(false)
  await clock.advance(1)
  expect(signal?.reason).toBeInstanceOf(TimeoutError)
  await bus.idle()
  const [letter] = await bus.deadLetters.list()
  expect(letter?.failure.error).toMatchObject({
    name: 'TimeoutError',
    message: "Ticked was not handled by 'Ticked' in group 'app.Ticked' within 50 ms",
  })
})

test('is retried like any failure, and the next run has a signal of its own', async () => {
  const clock = handClock()
  await using bus = await memoryBus({ middleware: [timeout({ ms: 50, clock })], retry: { retries: 1, minDelay: 0 } })
  const aborted: boolean[] = []
  const subscription = await bus.subscribe(Ticked, (_event, { attempt, signal }) => {
    aborted.push(signal.aborted)
    return attempt === 1 ? new Promise(() => {}) : undefined
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await clock.advance(50)
  await bus.idle()
  expect(aborted).toEqual([false, false])
  expect(subscription.stats()).toMatchObject({ handled: 1, failed: 1, retried: 1 })
})

test('the timer is gone after a run, whichever way it ended', async () => {
  const clock = handClock()
  const consume = consumeOf(timeout({ ms: 50, clock }))
  await consume(incoming(), () => Promise.resolve('done'))
  expect(clock.pending).toBe(0)
  await expect(consume(incoming(), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(clock.pending).toBe(0)
})

test('a handler that fails after its time is over disturbs nobody', async () => {
  const clock = handClock()
  const { promise, reject } = Promise.withResolvers()
  const run = consumeOf(timeout({ ms: 50, clock }))(incoming(), () => promise)
  await Promise.all([expect(run).rejects.toThrow(TimeoutError), clock.advance(50)])
  reject(new Error('late'))
  await settled()
})

test('a time that is none is refused', () => {
  for (const ms of [0, -1, Number.NaN]) expect(() => timeout({ ms })).toThrow(ConfigurationError)
})
