import { expect, test } from 'vitest'

import { ConfigurationError } from '../../message/errors.ts'
import { type KeepingLogger, memoryBus } from '../fixtures/bus.ts'
import { handClock } from '../fixtures/clock.ts'
import { GetTotal, Ticked } from '../fixtures/contracts.ts'
import { consumeOf, incoming } from '../fixtures/incoming.ts'
import { idempotency } from './idempotency.ts'
import { MemoryIdempotencyStore } from './idempotency-store.ts'

test('the same message again is acked without a run, for each group by itself', async () => {
  await using bus = await memoryBus({ middleware: [idempotency()] })
  const seen: string[] = []
  const a = await bus.subscribe(Ticked, () => void seen.push('a'), { group: 'a' })
  await bus.subscribe(Ticked, () => void seen.push('b'), { group: 'b' })
  const message = Ticked.create({ n: 1 })
  await bus.publish(message)
  await bus.idle()
  await bus.publish(message)
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(seen.toSorted()).toEqual(['a', 'a', 'b', 'b'])
  expect(a.stats()).toMatchObject({ handled: 2, filtered: 1 })
})

test('two copies at the same moment are run once, one after the other if the first fails', async () => {
  const consume = consumeOf(idempotency())
  const message = Ticked.create({ n: 1 })
  let runs = 0
  const first = Promise.withResolvers<void>()
  const copies = [0, 1, 2].map(() =>
    consume(incoming({ message }), async () => {
      if (++runs === 1) await first.promise
    }),
  )
  first.reject(new Error('the first fails'))
  const outcomes = await Promise.allSettled(copies)
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  expect(runs).toBe(2)
})

test('a message whose handler failed is not remembered: it is retried, and redriven', async () => {
  await using bus = await memoryBus({ middleware: [idempotency()], retry: { retries: 1, minDelay: 0 } })
  let healthy = false
  let runs = 0
  await bus.subscribe(Ticked, () => {
    runs++
    if (!healthy) throw new Error('down')
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(runs).toBe(2)
  healthy = true
  expect(await bus.deadLetters.redrive({})).toBe(1)
  await bus.idle()
  expect(runs).toBe(3)
  expect(await bus.deadLetters.count()).toBe(0)
})

test('forgets after the time to live', async () => {
  const clock = handClock()
  const consume = consumeOf(idempotency({ store: new MemoryIdempotencyStore({ clock }), ttl: 1_000 }))
  const message = Ticked.create({ n: 1 })
  let runs = 0
  const run = () => consume(incoming({ message }), async () => void runs++)
  await run()
  await clock.advance(999)
  await run()
  expect(runs).toBe(1)
  await clock.advance(1)
  await run()
  expect(runs).toBe(2)
})

test('the store in memory never holds more than its limit, and drops the oldest first', () => {
  const store = new MemoryIdempotencyStore({ max: 3 })
  for (const key of ['a', 'b', 'c', 'd']) store.add(key, 1_000)
  expect(store.size).toBe(3)
  expect([store.has('a'), store.has('b'), store.has('d')]).toEqual([false, true, true])
})

test('queries always run: each asker wants its answer', async () => {
  const consume = consumeOf(idempotency())
  const message = GetTotal.create({ orderId: 'o-1' })
  const ask = () => consume(incoming({ message }), () => Promise.resolve({ total: 1 }))
  expect([await ask(), await ask()]).toEqual([{ total: 1 }, { total: 1 }])
})

test('a store that cannot be asked fails the run; one that cannot remember does not undo what was done', async () => {
  const broken = () => Promise.reject(new Error('store is away'))
  const deaf = idempotency({ store: { has: broken, add: broken } })
  await expect(consumeOf(deaf)(incoming(), () => Promise.resolve('ran'))).rejects.toThrow('store is away')
  const forgetful = idempotency({ store: { has: () => false, add: broken } })
  const run = incoming()
  expect(await consumeOf(forgetful)(run, () => Promise.resolve('ran'))).toBe('ran')
  expect((run.logger as KeepingLogger).lines).toMatchObject([{ level: 'warn' }])
})

test('settings that make no sense are refused', () => {
  expect(() => idempotency({ ttl: 0 })).toThrow(ConfigurationError)
  expect(() => new MemoryIdempotencyStore({ max: 0 })).toThrow(ConfigurationError)
})
