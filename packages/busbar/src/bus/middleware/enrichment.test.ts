import { expect, test } from 'vitest'

import { DomainEvent } from '../../message/index.ts'
import type { Message } from '../../message/index.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { OrderPlaced, Ticked } from '../fixtures/contracts.ts'
import { enrichment } from './enrichment.ts'

test('a function adds metadata at publish, and what the publisher gave stays', async () => {
  await using bus = await memoryBus({
    middleware: [enrichment(async () => ({ metadata: { tenantId: 'added', userId: 'added' } }))],
  })
  const seen: Message[] = []
  await bus.subscribe(Ticked, (event) => void seen.push(event))
  const original = Ticked.create({ n: 1 }, { userId: 'mine' })
  await bus.publish(original)
  await bus.idle()
  expect(seen[0]?.metadata).toEqual({ correlationId: original.id, tenantId: 'added', userId: 'mine' })
  expect(original.metadata).toEqual({ correlationId: original.id, userId: 'mine' })
  expect(seen[0]?.id).toBe(original.id)
})

test('a function that gives nothing changes nothing', async () => {
  await using bus = await memoryBus({ middleware: [enrichment(() => {})] })
  const seen: unknown[] = []
  await bus.subscribe(Ticked, (event) => void seen.push(event.data))
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(seen).toEqual([{ n: 1 }])
})

test('at consume it changes what handlers get, which is validated again', async () => {
  const data = { orderId: 'o-1', total: 1 } as Record<string, unknown>
  await using bus = await memoryBus({
    middleware: [enrichment({ consume: (message) => (message.type === 'order.placed' ? { data } : undefined) })],
  })
  const seen: unknown[] = []
  await bus.subscribe(OrderPlaced, (event) => void seen.push(event.data))
  await bus.publish(OrderPlaced.create({ orderId: 'o-2' }))
  await bus.idle()
  expect(seen).toEqual([{ orderId: 'o-1', total: 1 }])
  data.total = 'much'
  await bus.publish(OrderPlaced.create({ orderId: 'o-2' }))
  await bus.idle()
  expect(seen).toHaveLength(1)
  const [letter] = await bus.deadLetters.list()
  expect(letter?.failure).toMatchObject({ attempts: 1, error: { name: 'ValidationError' } })
})

test('a class event is still an instance of its class for the handler', async () => {
  class Greeted extends DomainEvent<{ name: string }> {
    static readonly type = 'Greeted'
    get greeting(): string {
      return `hello ${this.data.name}`
    }
  }
  await using bus = await memoryBus({
    middleware: [enrichment({ publish: () => ({ metadata: { a: '1' } }), consume: () => ({ metadata: { b: '2' } }) })],
  })
  const seen: unknown[] = []
  await bus.subscribe(Greeted, (event) => void seen.push([event.greeting, event.metadata.a, event.metadata.b]))
  await bus.publish(new Greeted({ name: 'Ada' }))
  await bus.idle()
  expect(seen).toEqual([['hello Ada', '1', '2']])
})
