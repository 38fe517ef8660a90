import { expect, test, vi } from 'vitest'

import { MemoryBroker } from '../../memory/index.ts'
import { ConfigurationError, ValidationError } from '../../message/errors.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { OrderPlaced, Ticked } from '../fixtures/contracts.ts'
import type { Middleware } from '../middleware.ts'
import { enrichment } from './enrichment.ts'
import { validation } from './validation.ts'

test('refuses a bad message at its place: what is further in does not see it', async () => {
  const further = vi.fn<NonNullable<Middleware['publish']>>((message, next) => next(message))
  await using bus = await memoryBus({ middleware: [validation(), { publish: further }] })
  const refused = bus.publish(OrderPlaced.create({ orderId: 7 as never }))
  await expect(refused).rejects.toThrow(ValidationError)
  expect(further).not.toHaveBeenCalled()
  await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
  expect(further).toHaveBeenCalledOnce()
})

test('checks copies that have lost their contract by the contracts given', async () => {
  const bare: Middleware = { publish: (message, next) => next({ ...message }) }
  const further = vi.fn<NonNullable<Middleware['publish']>>((message, next) => next(message))
  await using bus = await memoryBus({
    middleware: [bare, validation({ contracts: [OrderPlaced] }), { publish: further }],
  })
  await expect(bus.publish(OrderPlaced.create({ orderId: 7 as never }))).rejects.toThrow(ValidationError)
  expect(further).not.toHaveBeenCalled()
})

test('two contracts of one type are refused when it is made', () => {
  expect(() => validation({ contracts: [OrderPlaced, OrderPlaced] })).toThrow(ConfigurationError)
})

test('a check of your own rejects the publish with its own words', async () => {
  await using bus = await memoryBus({
    middleware: [
      validation({ check: (message) => (message.metadata.tenantId === undefined ? 'has no tenant' : undefined) }),
    ],
  })
  await expect(bus.publish(Ticked.create({ n: 1 }))).rejects.toThrow(
    'Ticked (version 1) has invalid data: data: has no tenant',
  )
  await expect(bus.publish(Ticked.create({ n: 1 }, { tenantId: 't-1' }))).resolves.toBeUndefined()
})

test('at consume a check that says no sends the message to the dead letters without a run or a retry', async () => {
  const broker = new MemoryBroker()
  await using sender = await memoryBus({}, broker)
  const check = async () => [{ path: 'n', message: 'is not wanted here' }]
  await using bus = await memoryBus(
    { middleware: [validation({ check })], retry: { retries: 3, redeliveries: [0] } },
    broker,
  )
  const handler = vi.fn<() => void>()
  const subscription = await bus.subscribe(Ticked, handler)
  await sender.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(handler).not.toHaveBeenCalled()
  expect(subscription.stats()).toMatchObject({ failed: 1, retried: 0, redelivered: 0, deadLettered: 1 })
  const [letter] = await bus.deadLetters.list()
  expect(letter?.failure.error.message).toBe('Ticked (version 1) has invalid data: n: is not wanted here')
})

test('what enrichment made of a message is validated by the bus all the same', async () => {
  await using bus = await memoryBus({
    middleware: [validation(), enrichment(() => ({ data: { orderId: 7 } }))],
  })
  await expect(bus.publish(OrderPlaced.create({ orderId: 'o-1' }))).rejects.toThrow(/orderId/)
})
