/** Where each order stands: changed by the commit that appends the event, so whoever has paid sees "paid" at once. */
import { projection, type SqlModel, when } from 'busbar/projections'

import { OrderCancelled, OrderPaid, OrderPlaced, OrderShipped, totalOf } from '../contracts.ts'
import type { Status } from '../order.ts'

export const Orders = projection({
  name: 'orders',
  tables: {
    orders: {
      columns: `order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, email TEXT NOT NULL, status TEXT NOT NULL,
        total INTEGER NOT NULL`,
      indexes: ['customer_id'],
    },
  },
  on: [
    when(OrderPlaced, ({ event: { data } }, { run, table }: SqlModel) =>
      run(
        `INSERT INTO ${table('orders')} (order_id, customer_id, email, status, total) VALUES (?, ?, ?, 'placed', ?)`,
        [data.orderId, data.customerId, data.email, totalOf(data.lines)],
      ),
    ),
    when(OrderPaid, ({ event: { data } }, model: SqlModel) => become('paid', data.orderId, model)),
    when(OrderShipped, ({ event: { data } }, model: SqlModel) => become('shipped', data.orderId, model)),
    when(OrderCancelled, ({ event: { data } }, model: SqlModel) => become('cancelled', data.orderId, model)),
  ],
})

function become(status: Status, orderId: string, { run, table }: SqlModel): Promise<void> {
  return run(`UPDATE ${table('orders')} SET status = ? WHERE order_id = ?`, [status, orderId])
}
