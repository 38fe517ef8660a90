import { expect, test } from 'vitest'

import type { Outgoing } from '../broker/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { ConfigurationError, event, query, typed, ValidationError } from '../message/index.ts'
import { z } from 'zod'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { GetTotal, Ticked } from './fixtures/contracts.ts'
import { SpyBroker } from './fixtures/spy-broker.ts'
import { latch, until } from './fixtures/waiting.ts'
import { RequestFailedError, RequestTimeoutError } from './requests.ts'

test('the answer comes back, typed and checked by the contract', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(GetTotal, async ({ data }) => ({ total: data.orderId.length }))
  const answer = await bus.request(GetTotal.create({ orderId: 'o-1' }))
  expect(answer.total).toBe(3)
})

test('across buses on one broker, each asker gets its own answer', async () => {
  const broker = new MemoryBroker()
  await using answering = await memoryBus({}, broker)
  await answering.subscribe(GetTotal, ({ data }) => ({ total: Number(data.orderId) }))
  await using one = await memoryBus({}, broker)
  await using two = await memoryBus({}, broker)
  const asks = Array.from({ length: 20 }, (_, n) =>
    (n % 2 ? one : two).request(GetTotal.create({ orderId: String(n) })),
  )
  expect((await Promise.all(asks)).map(({ total }) => total)).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('an asker that knows the contract by the query alone sends it to the contract’s topic', async () => {
  const broker = new SpyBroker()
  const Ask = query('Ask', typed<object>(), typed<string>(), { topic: 'questions' })
  await using answering = await memoryBus({}, broker)
  await answering.subscribe(Ask, () => 'yes')
  await using asking = await memoryBus({ strict: true }, broker)
  expect(await asking.request(Ask.create({}), { timeout: 5_000 })).toBe('yes')
  expect(broker.batches[0]?.[0]?.topic).toBe('questions')
})

test('a strict bus can answer', async () => {
  await using bus = await memoryBus({ strict: true })
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  expect(await bus.request(GetTotal.create({ orderId: 'o-1' }), { timeout: 5_000 })).toEqual({ total: 1 })
})

test('nobody answers in time: a RequestTimeoutError, nothing waits any more, and a late answer is dropped', async () => {
  const clock = handClock()
  await using bus = await memoryBus({ clock }, new MemoryBroker({ clock }))
  const release = latch()
  await bus.subscribe(GetTotal, async () => {
    await release.opened
    return { total: 1 }
  })
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }), { timeout: 500 })
  const outcome = asking.catch((error: unknown) => error)
  await clock.advance(499)
  expect((await bus.metrics()).requests).toBe(1)
  await clock.advance(1)
  const error = await outcome
  expect(error).toBeInstanceOf(RequestTimeoutError)
  expect((error as Error).message).toContain('no answer to GetTotal within 500 ms')
  expect((await bus.metrics()).requests).toBe(0)
  release.open()
  await bus.idle()
  expect(clock.pending).toBe(0)
})

test('a query that nobody waits for any more is skipped', async () => {
  const clock = handClock()
  const broker = new MemoryBroker({ clock })
  await using bus = await memoryBus({ clock }, broker)
  let runs = 0
  const subscription = await bus.subscribe(GetTotal, () => ({ total: ++runs }))
  subscription.pause()
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }), { timeout: 100 })
  const outcome = asking.catch((error: unknown) => error)
  await clock.advance(101)
  expect(await outcome).toBeInstanceOf(RequestTimeoutError)
  subscription.resume()
  await bus.idle()
  expect(runs).toBe(0)
  expect(subscription.stats()).toMatchObject({ skipped: 1, handled: 0 })
})

test('a handler that fails for good is the answer at once, after its retries, and leaves no dead letter', async () => {
  await using bus = await memoryBus({ retry: { retries: 2, minDelay: 0, redeliveries: [60_000] } })
  let runs = 0
  await bus.subscribe(GetTotal, () => {
    runs++
    throw new RangeError('no such order, token=abc123')
  })
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }))
  await expect(asking).rejects.toThrow(RequestFailedError)
  await expect(asking).rejects.toThrow('GetTotal failed: RangeError: no such order, token=***')
  expect(runs).toBe(3)
  await bus.idle()
  expect(await bus.deadLetters.count()).toBe(0)
})

test('an answer that does not fit the contract rejects with what is wrong', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(GetTotal, () => ({ total: 'much' }) as never)
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }))
  await expect(asking).rejects.toThrow(ValidationError)
  await expect(asking).rejects.toThrow(/answer to GetTotal.*total/)
  expect((await bus.metrics()).requests).toBe(0)
})

test('a Date in an answer is a Date again where the contract says so', async () => {
  const When = query('When', typed<object>(), z.object({ at: z.date() }))
  await using bus = await memoryBus()
  await bus.subscribe(When, () => ({ at: new Date(0) }))
  const { at } = await bus.request(When.create({}))
  expect(at).toEqual(new Date(0))
  expect(at).toBeInstanceOf(Date)
})

test('a signal ends the wait with its reason', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(GetTotal, () => new Promise<never>(() => {}))
  const controller = new AbortController()
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }), { signal: controller.signal })
  const outcome = asking.catch((error: unknown) => error)
  await settled()
  controller.abort(new Error('the user left'))
  expect(await outcome).toMatchObject({ message: 'the user left' })
  expect((await bus.metrics()).requests).toBe(0)
  const late = bus.request(GetTotal.create({ orderId: 'o-1' }), { signal: controller.signal })
  await expect(late).rejects.toThrow('the user left')
  await bus.stop({ deadline: 0 })
})

test('the timeout holds though the broker hangs, and a broker that fails rejects at once', async () => {
  const clock = handClock()
  const broker = new SpyBroker({ clock })
  await using bus = await memoryBus({ clock, stopDeadline: 0 }, broker)
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  broker.before = () => {
    throw new Error('connection refused')
  }
  await expect(bus.request(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow('connection refused')
  const hanging = latch()
  broker.before = () => hanging.opened
  const outcome = bus.request(GetTotal.create({ orderId: 'o-1' }), { timeout: 100 }).catch((error: unknown) => error)
  await clock.advance(100)
  expect(await outcome).toBeInstanceOf(RequestTimeoutError)
  hanging.open()
})

test('a timeout that is none is refused', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  for (const timeout of [0, -1, Number.NaN]) {
    await expect(bus.request(GetTotal.create({ orderId: 'o-1' }), { timeout })).rejects.toThrow(ConfigurationError)
  }
})

test('a thousand requests leave no one waiting and no timer set', async () => {
  const clock = handClock()
  await using bus = await memoryBus({ clock }, new MemoryBroker({ clock }))
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  await Promise.all(Array.from({ length: 1_000 }, () => bus.request(GetTotal.create({ orderId: 'o-1' }))))
  expect((await bus.metrics()).requests).toBe(0)
  expect(clock.pending).toBe(0)
})

test('when the bus stops, whoever still waits is told so, and a request afterwards is refused', async () => {
  const bus = await memoryBus()
  await bus.subscribe(GetTotal, () => new Promise<never>(() => {}))
  const outcome = bus.request(GetTotal.create({ orderId: 'o-1' })).catch((error: unknown) => error)
  await until(async () => (await bus.metrics()).requests === 1, 'the request to be sent')
  await bus.stop({ deadline: 0 })
  expect(await outcome).toMatchObject({
    name: 'RequestTimeoutError',
    message: 'the bus was stopped before GetTotal was answered',
  })
  await expect(bus.request(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow('the bus was stopped')
})

test('a request whose handler is running when the bus stops is still answered', async () => {
  const broker = new MemoryBroker()
  const answering = await memoryBus({}, broker)
  await using asking = await memoryBus({}, broker)
  const release = latch()
  let begun = false
  await answering.subscribe(GetTotal, async () => {
    begun = true
    await release.opened
    return { total: 1 }
  })
  const answer = asking.request(GetTotal.create({ orderId: 'o-1' }))
  await until(() => begun, 'the handler to begin')
  // A bus of its own broker would close it; this one is shared, so it stays open for the asker.
  broker.stop = () => Promise.resolve()
  const stopping = answering.stop()
  release.open()
  await stopping
  expect(await answer).toEqual({ total: 1 })
})

test('a first request that could not listen for replies does not spoil the next', async () => {
  const broker = new MemoryBroker()
  await using bus = await memoryBus({}, broker)
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  const subscribe = broker.subscribe.bind(broker)
  broker.subscribe = () => Promise.reject(new Error('no connection'))
  await expect(bus.request(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow('no connection')
  broker.subscribe = subscribe
  expect(await bus.request(GetTotal.create({ orderId: 'o-1' }))).toEqual({ total: 1 })
})

test('a broker without broadcast cannot carry replies, and says so', async () => {
  const broker = new MemoryBroker()
  Object.assign(broker.capabilities, { broadcast: false })
  await using bus = await memoryBus({}, broker)
  await bus.subscribe(GetTotal, () => ({ total: 1 }))
  await expect(bus.request(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow(/cannot carry replies/)
})

test('a reply that cannot be read is only logged, and what nobody here has asked is passed over', async () => {
  const logger = keepingLogger()
  const broker = new SpyBroker()
  await using bus = await memoryBus({ logger }, broker)
  const release = latch()
  await bus.subscribe(GetTotal, async () => {
    await release.opened
    return { total: 1 }
  })
  const asking = bus.request(GetTotal.create({ orderId: 'o-1' }))
  await until(() => broker.batches.length > 0, 'the query to be sent')
  const [asked] = broker.batches.flat() as [Outgoing]
  const garbage = (causationId: string): Outgoing => {
    const metadata = { correlationId: 'x', causationId }
    return { topic: 'replies.app', message: { ...asked.message, kind: 'reply', body: 'garbage', metadata } }
  }
  await broker.publish([garbage('nobody'), garbage(asked.message.id)])
  await until(() => logger.lines.length > 0, 'the line')
  release.open()
  expect(await asking).toEqual({ total: 1 })
  expect(logger.lines.map(({ text }) => text)).toEqual(['a reply could not be read'])
})

test('processes of an application share one reply topic, so that none leaves one behind', async () => {
  const broker = new SpyBroker()
  await using answering = await memoryBus({}, broker)
  await answering.subscribe(GetTotal, ({ data }) => ({ total: Number(data.orderId) }))
  const askers = await Promise.all(Array.from({ length: 5 }, () => memoryBus({ source: 'shop' }, broker)))
  await using other = await memoryBus({ source: 'desk', topics: { reply: 'answers' } }, broker)
  for (const [n, bus] of [...askers, other].entries())
    expect(await bus.request(GetTotal.create({ orderId: `${n}` }))).toEqual({ total: n })
  const replies = broker.batches.flat().filter(({ message }) => message.kind === 'reply')
  expect(new Set(replies.map(({ topic }) => topic))).toEqual(new Set(['replies.shop', 'answers.desk']))
})

test('an event of the same name as a contract cannot be requested', async () => {
  await using bus = await memoryBus()
  await expect(bus.request(event('Told', typed<object>()).create({}) as never)).rejects.toThrow(/Told is an event/)
  expect(Ticked.kind).toBe('event')
})
