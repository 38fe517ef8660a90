/** What came in, by day and customer, less what was given back: kept up behind the appends, which do not wait for it. */
import { projection, type SqlModel, when } from 'busbar/projections'

import { OrderCancelled, OrderPaid } from '../contracts.ts'

export const Revenue = projection({
  name: 'revenue',
  tables: { revenue: 'day TEXT, customer_id TEXT, cents INTEGER NOT NULL, PRIMARY KEY (day, customer_id)' },
  // Customers are shared among the processes that run it; the row of one is written by one of them.
  partitions: 4,
  partitionBy: ({ event }) => (event.data as { customerId: string }).customerId,
  on: [
    when(OrderPaid, ({ event: { data } }, model: SqlModel) => earn(data, data.amount, model)),
    when(OrderCancelled, async ({ event: { data } }, model: SqlModel) => {
      if (data.refund > 0) await earn(data, -data.refund, model)
    }),
  ],
})

function earn(of: { at: Date; customerId: string }, cents: number, { run, table }: SqlModel): Promise<void> {
  return run(
    `INSERT INTO ${table('revenue')} AS r (day, customer_id, cents) VALUES (?, ?, ?)
     ON CONFLICT (day, customer_id) DO UPDATE SET cents = r.cents + excluded.cents`,
    [of.at.toISOString().slice(0, 10), of.customerId, cents],
  )
}
