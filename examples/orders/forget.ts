/** A customer is forgotten: one key is deleted, and what was encrypted with it is nobody's any more. */
import { FORGOTTEN } from './contracts.ts'
import type { PlannedOrder } from './plan.ts'
import type { Shop } from './shop.ts'

export interface Forgetting {
  readonly customerId: string
  readonly email: string
  /** Their orders, which stay. */
  readonly orders: readonly string[]
}

/** The customer of the first order. */
export async function forgetSomebody(shop: Shop, plan: readonly PlannedOrder[]): Promise<Forgetting | undefined> {
  const [first] = plan
  if (first === undefined || !(await shop.privacy.forget(first.customerId))) return undefined
  const { customerId, email } = first
  return { customerId, email, orders: plan.filter((order) => order.customerId === customerId).map((o) => o.orderId) }
}

/** Where the address can still be read, in words; asked after the read models were built anew. */
export async function tracesOf(shop: Shop, { email, orders }: Forgetting): Promise<readonly string[]> {
  const traces: string[] = []
  for (const orderId of orders) {
    const { state } = await shop.orders.load(orderId)
    if (state.email !== FORGOTTEN) traces.push(`order ${orderId} loads with the address ${state.email}`)
  }
  for await (const { event, stream } of shop.store.readAll()) {
    if (JSON.stringify(event.data).includes(email)) traces.push(`${event.type} of ${stream} has the address`)
  }
  const shown = await shop.rows<{ order_id: string; email: string }>('SELECT order_id, email FROM orders')
  for (const row of shown) {
    if (row.email === email) traces.push(`the read model has the address in ${row.order_id}`)
    if (orders.includes(row.order_id) !== (row.email === FORGOTTEN)) traces.push(`wrong address in ${row.order_id}`)
  }
  return traces
}

/** Addresses that lie in the store in the clear, as whoever holds the file could read them. */
export async function clearAddresses(shop: Shop): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { stream, message } of shop.store.storage.readAll()) {
    const body = typeof message.body === 'string' ? message.body : JSON.stringify(message.body)
    if (body.includes('@example.com')) found.push(`${message.type} of ${stream} lies in the store in the clear`)
  }
  return found
}
