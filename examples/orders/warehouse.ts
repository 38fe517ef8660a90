/** The warehouse: hands a parcel to the carrier for each order that is shipped, once, however often the event comes. */
import type { EventBus, Subscription } from 'busbar'
import type { Inbox } from 'busbar/inbox'
import type { Database } from 'busbar/transaction'

import { OrderShipped } from './contracts.ts'

export const GROUP = 'warehouse'

/** The table has no key: a parcel that was sent twice would be there twice. */
export async function openWarehouse(database: Database): Promise<void> {
  await database.transaction((tx) =>
    tx.execute('CREATE TABLE IF NOT EXISTS parcels (order_id TEXT NOT NULL, customer_id TEXT NOT NULL)'),
  )
}

/** The parcel and the record that its event was handled are one transaction. */
export function subscribeWarehouse(bus: EventBus, inbox: Inbox): Promise<Subscription> {
  return bus.subscribe(
    OrderShipped,
    ({ data }, { tx }) =>
      tx.execute('INSERT INTO parcels (order_id, customer_id) VALUES (?, ?)', [data.orderId, data.customerId]),
    { group: GROUP, inbox },
  )
}
