/** An order as it was: its state after each of its events. */
import type { Status } from './order.ts'
import type { Shop } from './shop.ts'

export async function statesOf(shop: Shop, orderId: string): Promise<readonly Status[]> {
  const { revision: last } = await shop.orders.load(orderId)
  const states: Status[] = []
  for (let at = 0; at <= last; at++) states.push((await shop.orders.load(orderId, { at })).state.status)
  return states
}
