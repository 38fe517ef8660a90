import { expect, test } from 'vitest'

import type { Message } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { GetTotal, OrderPaid, OrderPlaced, PlaceOrder, Ticked } from './fixtures/contracts.ts'

const pause = (ms = 1): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a message that nothing caused is its own correlation and has no cause', async () => {
  await using bus = await memoryBus()
  const seen: Message[] = []
  await bus.subscribe(Ticked, (event) => void seen.push(event))
  const message = Ticked.create({ n: 1 })
  await bus.publish(message)
  await bus.idle()
  expect(seen[0]?.metadata).toEqual({ correlationId: message.id })
})

test('what is published while a handler runs carries its correlation, and its id as the cause, by whatever way', async () => {
  await using bus = await memoryBus()
  const caused: Message[] = []
  await bus.subscribe(OrderPaid, (event) => void caused.push(event))
  await bus.subscribe(PlaceOrder, (message) => void caused.push(message))
  await bus.subscribe(OrderPlaced, async (_event, context) => {
    await bus.publish(OrderPaid.create({ orderId: 'by the bus' }))
    await context.publish([OrderPaid.create({ orderId: 'by the context' })])
    await context.send(PlaceOrder.create({ orderId: 'a command' }))
    await pause()
    await bus.publish(OrderPaid.create({ orderId: 'after an await' }))
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(() => resolve(bus.publish(OrderPaid.create({ orderId: 'in a timer' }))), 1)
    await promise
  })
  const first = OrderPlaced.create({ orderId: 'o-1' }, { correlationId: 'c-1' })
  await bus.publish(first)
  await bus.idle()
  expect(caused).toHaveLength(5)
  for (const message of caused) expect(message.metadata).toMatchObject({ correlationId: 'c-1', causationId: first.id })
})

test('a context that is taken apart works as well', async () => {
  await using bus = await memoryBus()
  const caused: Message[] = []
  await bus.subscribe(OrderPaid, (event) => void caused.push(event))
  await bus.subscribe(PlaceOrder, (message) => void caused.push(message))
  await bus.subscribe(Ticked, async (_event, { publish, send }) => {
    await publish(OrderPaid.create({ orderId: 'o-1' }))
    await send(PlaceOrder.create({ orderId: 'o-1' }))
  })
  const first = Ticked.create({ n: 1 })
  await bus.publish(first)
  await bus.idle()
  expect(caused.map(({ metadata }) => metadata.causationId)).toEqual([first.id, first.id])
})

test('handlers that run at the same time do not mix up their causes', async () => {
  await using bus = await memoryBus()
  const causes = new Map<number, string | undefined>()
  await bus.subscribe(OrderPaid, (event) => void causes.set(Number(event.data.orderId), event.metadata.causationId))
  await bus.subscribe(Ticked, async (event) => {
    await pause(Math.random() * 5)
    await bus.publish(OrderPaid.create({ orderId: String(event.data.n) }))
  })
  const messages = Array.from({ length: 30 }, (_, n) => Ticked.create({ n }))
  await bus.publish(messages)
  await bus.idle()
  expect([...causes].toSorted(([a], [b]) => a - b)).toEqual(messages.map(({ id }, n) => [n, id]))
})

test('tenant, user and trace are handed on', async () => {
  await using bus = await memoryBus()
  const seen: Message[] = []
  await bus.subscribe(OrderPaid, (event) => void seen.push(event))
  await bus.subscribe(Ticked, (_event, context) => context.publish(OrderPaid.create({ orderId: 'o-1' })))
  const handedOn = { tenantId: 't-1', userId: 'u-1', traceparent: '00-a-b-01', tracestate: 'x=1' }
  await bus.publish(Ticked.create({ n: 1 }, { ...handedOn, secret: 'mine' }))
  await bus.idle()
  expect(seen[0]?.metadata).toMatchObject(handedOn)
  expect(seen[0]?.metadata).not.toHaveProperty('secret')
})

test('explicit metadata wins', async () => {
  await using bus = await memoryBus()
  const seen: Message[] = []
  await bus.subscribe(OrderPaid, (event) => void seen.push(event))
  const explicit = { correlationId: 'own', causationId: 'own cause', tenantId: 'other' }
  await bus.subscribe(Ticked, (_event, context) => context.publish(OrderPaid.create({ orderId: 'o-1' }, explicit)))
  await bus.publish(Ticked.create({ n: 1 }, { tenantId: 't-1' }))
  await bus.idle()
  expect(seen[0]?.metadata).toEqual(explicit)
})

test('a request in a handler is caused by its message, and so is what the query’s handler publishes', async () => {
  await using bus = await memoryBus()
  const paid: Message[] = []
  await bus.subscribe(OrderPaid, (event) => void paid.push(event))
  const asked: Message[] = []
  await bus.subscribe(GetTotal, async (query, context) => {
    asked.push(query)
    await context.publish(OrderPaid.create({ orderId: 'o-1' }))
    return { total: 1 }
  })
  await bus.subscribe(Ticked, async () => void (await bus.request(GetTotal.create({ orderId: 'o-1' }))))
  const first = Ticked.create({ n: 1 })
  await bus.publish(first)
  await bus.idle()
  expect(asked[0]?.metadata).toMatchObject({ correlationId: first.id, causationId: first.id })
  expect(paid[0]?.metadata).toMatchObject({ correlationId: first.id, causationId: asked[0]?.id })
})
