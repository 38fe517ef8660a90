import { given } from 'busbar/testing'
import { describe, expect, test } from 'vitest'

import {
  CancelOrder,
  OrderCancelled,
  OrderPaid,
  OrderPlaced,
  OrderShipped,
  PayOrder,
  PlaceOrder,
  ShipOrder,
} from './contracts.ts'
import { Order, OrderRefused } from './order.ts'

const at = new Date('2026-01-01T12:00:00Z')
const whose = { orderId: 'o1', customerId: 'c1' }
const order = { ...whose, email: 'ada@example.com', lines: [{ sku: 'pen', quantity: 2, price: 250 }], at }
const placed = OrderPlaced.create(order)
const paid = OrderPaid.create({ ...whose, amount: 500, at })
const shipped = OrderShipped.create({ ...whose, at })
const cancelled = OrderCancelled.create({ ...whose, refund: 500, at })

describe('an order', () => {
  test('is placed, once, and with something in it', async () => {
    await given(Order, []).when(PlaceOrder.create(order)).then([placed])
    await given(Order, [placed])
      .when(PlaceOrder.create(order))
      .then(/is placed once; this one is placed/)
    const empty = PlaceOrder.create({ ...order, lines: [] })
    await given(Order, [])
      .when(empty)
      .then(/at least one line/)
  })

  test('is paid when it is placed, and exactly', async () => {
    const pay = PayOrder.create({ amount: 500, at })
    await given(Order, [placed]).when(pay).then([paid])
    await given(Order, []).when(pay).then(OrderRefused)
    await given(Order, [placed, paid])
      .when(pay)
      .then(/this one is paid/)
    const less = PayOrder.create({ amount: 499, at })
    await given(Order, [placed])
      .when(less)
      .then(/500 cents are to be paid, not 499/)
  })

  test('is shipped when it is paid', async () => {
    const ship = ShipOrder.create({ at })
    await given(Order, [placed, paid]).when(ship).then([shipped])
    await given(Order, [placed])
      .when(ship)
      .then(/is shipped when it is paid; this one is placed/)
    await given(Order, [placed, paid, cancelled])
      .when(ship)
      .then(/this one is cancelled/)
  })

  test('is cancelled before it is shipped, and what was paid is given back', async () => {
    const cancel = CancelOrder.create({ at })
    await given(Order, [placed])
      .when(cancel)
      .then(OrderCancelled.create({ ...whose, refund: 0, at }))
    await given(Order, [placed, paid]).when(cancel).then([cancelled])
    await given(Order, [placed, paid, shipped])
      .when(cancel)
      .then(/before it is shipped; this one is shipped/)
    await given(Order, []).when(cancel).then(OrderRefused)
  })
})

test('a failed expectation fails: given, when and then compare', async () => {
  await expect(given(Order, [placed]).when(CancelOrder.create({ at })).then([cancelled])).rejects.toThrow(/refund/)
})
