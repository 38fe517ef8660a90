/** An order as it was, and where loading one begins. */
import type { Status } from './order.ts'
import type { Shop } from './shop.ts'

/** Its state after each of its events. */
export async function statesOf(shop: Shop, orderId: string): Promise<readonly Status[]> {
  const { revision: last } = await shop.orders.load(orderId)
  const states: Status[] = []
  for (let at = 0; at <= last; at++) states.push((await shop.orders.load(orderId, { at })).state.status)
  return states
}

/** Orders that have a snapshot, with which the next load begins. */
export async function countSnapshots(shop: Shop): Promise<number> {
  let count = 0
  for await (const _ of shop.store.readAll({ categories: ['snapshot'] })) count++
  return count
}
