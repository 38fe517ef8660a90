import { MemoryEventStorage } from 'busbar/memory'
import { repository } from 'busbar/aggregates'
import { EventStore } from 'busbar/eventstore'
import { MemoryKeyStore, PersonalData } from 'busbar/privacy'
import { expect, test } from 'vitest'

import { events, FORGOTTEN, OrderPlacedV1 } from './contracts.ts'
import { Order } from './order.ts'

const at = new Date('2026-01-01T12:00:00Z')
const old = { orderId: 'o1', customerId: 'c1', email: 'ada@example.com', sku: 'pen', quantity: 2, price: 250, at }

test('an order of the first release is read as one of today, also when its customer was forgotten', async () => {
  const privacy = new PersonalData({ keys: new MemoryKeyStore() })
  const storage = new MemoryEventStorage()
  const first = new EventStore(storage, { contracts: [OrderPlacedV1], privacy })
  await first.start()
  await first.append('order-o1', OrderPlacedV1.create(old))

  const store = new EventStore(storage, { contracts: events, privacy })
  const orders = repository(store, Order, { category: 'order' })
  const { orderId, customerId, email, sku, quantity, price } = old
  const [read] = await store.replayEvents('order-o1')
  expect(read?.data).toEqual({ orderId, customerId, email, lines: [{ sku, quantity, price }], at })
  expect((await orders.get('o1')).total).toBe(500)

  expect(await privacy.forget('c1')).toBe(true)
  expect(await orders.get('o1')).toMatchObject({ status: 'placed', total: 500, email: FORGOTTEN })
  await store.stop()
})
