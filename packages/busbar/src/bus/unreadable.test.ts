import { expect, test } from 'vitest'
import { z } from 'zod'

import type { Outgoing } from '../broker/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { type EncodedMessage, event, query, typed, uuidv7 } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { EXPIRES, REPLY_TO, RequestFailedError } from './requests.ts'
import { defaultRetryPolicy } from './retry-policy.ts'

/** What another program could have put on the topic. */
function foreign(body: string | Uint8Array, attributes: Partial<EncodedMessage> = {}): Outgoing {
  const id = uuidv7()
  return {
    topic: 'events',
    message: {
      id,
      type: 'order.placed',
      kind: 'event',
      source: 'elsewhere',
      time: new Date(),
      version: 1,
      metadata: { correlationId: id },
      contentType: 'application/json',
      body,
      ...attributes,
    },
  }
}

const READABLE = JSON.stringify({ orderId: 'o-1' })

test('bytes that cannot be decoded are put aside at once, as they are, and the consumer goes on', async () => {
  const broker = new MemoryBroker()
  await using bus = await memoryBus({ retry: defaultRetryPolicy }, broker)
  const seen: string[] = []
  const subscription = await bus.subscribe(OrderPlaced, (message) => void seen.push(message.data.orderId))
  const garbage = Uint8Array.of(0xff, 0x00, 0x7b)
  await broker.publish([foreign(garbage), foreign('{"orderId":'), foreign(READABLE)])
  await bus.idle()
  expect(seen).toEqual(['o-1'])
  expect(subscription.stats()).toMatchObject({ handled: 1, failed: 0, retried: 0, redelivered: 0, deadLettered: 2 })
  const letters = await bus.deadLetters.list()
  expect(letters.map(({ failure }) => [failure.reason, failure.attempts, failure.error.name])).toEqual([
    ['undecodable', 0, 'DecodeError'],
    ['undecodable', 0, 'DecodeError'],
  ])
  expect(letters[0]?.raw.body).toEqual(garbage)
  expect(letters[0]?.message).toBeUndefined()
})

test('data that does not fit the contract is put aside at once and never retried', async () => {
  const broker = new MemoryBroker()
  await using bus = await memoryBus({ retry: defaultRetryPolicy }, broker)
  let runs = 0
  await bus.subscribe(OrderPlaced, () => void runs++)
  await broker.publish([foreign('{"orderId":7}')])
  await bus.idle()
  expect(runs).toBe(0)
  const [letter] = await bus.deadLetters.list()
  expect(letter?.failure).toMatchObject({ reason: 'invalid', attempts: 0, error: { name: 'ValidationError' } })
  expect(letter?.failure.error.message).toContain('orderId')
})

test('a version that no upcaster leads from is invalid; one that has an upcaster is brought up', async () => {
  const broker = new MemoryBroker()
  await using bus = await memoryBus({}, broker)
  const Moved = event('Moved', z.object({ to: z.string() }), {
    version: 3,
    upcast: { 2: (old: unknown) => ({ to: (old as { target: string }).target }) },
  })
  const seen: unknown[] = []
  await bus.subscribe(Moved, (message) => void seen.push([message.version, message.data]))
  await broker.publish([
    foreign('{"target":"x"}', { type: 'Moved', version: 2 }),
    foreign('{"x":1}', { type: 'Moved', version: 1 }),
    foreign('{"to":"y"}', { type: 'Moved', version: 4 }),
  ])
  await bus.idle()
  expect(seen).toEqual([[3, { to: 'x' }]])
  expect((await bus.deadLetters.list()).map(({ failure, raw }) => [raw.version, failure.reason])).toEqual([
    [1, 'invalid'],
    [4, 'invalid'],
  ])
})

test('a schema or an upcaster that throws is invalid data, not bytes that cannot be read', async () => {
  const broker = new MemoryBroker()
  await using bus = await memoryBus({}, broker)
  const broken = (what: string) => () => {
    throw new TypeError(`${what} broke`)
  }
  const Odd = event('Odd', z.object({}).refine(broken('schema')), { version: 2, upcast: { 1: broken('upcaster') } })
  await bus.subscribe(Odd, () => {})
  await broker.publish([1, 2].map((version) => foreign('{}', { type: 'Odd', version })))
  await bus.idle()
  const failures = (await bus.deadLetters.list()).map(({ failure }) => failure)
  expect(failures.map(({ reason, error }) => [reason, error.message])).toEqual([
    ['invalid', expect.stringContaining('upcaster broke')],
    ['invalid', 'schema broke'],
  ])
})

for (const [words, middleware] of [
  ['', []],
  [
    ', also where there is middleware, and unread',
    [{ consume: (incoming: never, next: never) => pass(incoming, next) }],
  ],
] as const) {
  test(`a type that nobody here wants is skipped and counted${words}`, async () => {
    const broker = new MemoryBroker()
    await using bus = await memoryBus({ middleware }, broker)
    const subscription = await bus.subscribe(Ticked, () => {})
    await broker.publish([
      foreign('{"n":1}', { type: 'Ticked' }),
      foreign('{}', { type: 'NeverHeardOf' }),
      foreign('garbage', { type: 'NeverHeardOf' }),
      foreign('{"orderId":7}'),
    ])
    await bus.idle()
    expect(subscription.stats()).toMatchObject({ handled: 1, skipped: 3, failed: 0, deadLettered: 0, filtered: 0 })
    expect(await bus.deadLetters.count()).toBe(0)
  })
}

function pass(incoming: { readonly message: never }, next: (message: never) => Promise<unknown>): Promise<unknown> {
  return next(incoming.message)
}

test('a query that cannot be read is answered with its failure: nobody redrives a question', async () => {
  const broker = new MemoryBroker()
  const Ask = query('Ask', z.object({ n: z.number() }), typed<number>())
  await using bus = await memoryBus({}, broker)
  await bus.subscribe(Ask, () => 1)
  const replies: unknown[] = []
  await broker.subscribe(
    { group: 'asker', topics: ['answers'], broadcast: true, prefetch: 1, from: 'latest', onFailure: 'continue' },
    ({ message }) => {
      replies.push(message.body)
      return { ack: true }
    },
  )
  const expires = String(Date.now() + 60_000)
  const asked = foreign('{"n":"one"}', {
    type: 'Ask',
    kind: 'query',
    metadata: { correlationId: 'c', [REPLY_TO]: 'answers', [EXPIRES]: expires },
  })
  await broker.publish([{ ...asked, topic: 'queries' }])
  await bus.idle()
  expect(replies).toMatchObject([{ value: { name: 'ValidationError' } }])
  expect(await bus.deadLetters.count()).toBe(0)
  expect(new RequestFailedError('x').name).toBe('RequestFailedError')
})
