/** Both read models made anew from the first event, beside the live ones. */
import type { Shop } from './shop.ts'

const MODELS = [
  'SELECT order_id, customer_id, status, total FROM orders ORDER BY order_id',
  'SELECT day, customer_id, cents FROM revenue ORDER BY day, customer_id',
]

/** True: they say the same as before. */
export async function rebuildAll(shop: Shop): Promise<boolean> {
  const before = await contents(shop)
  await shop.inline.rebuild('orders')
  await shop.projections.rebuild('revenue')
  return (await contents(shop)) === before
}

async function contents(shop: Shop): Promise<string> {
  const rows = []
  for (const sql of MODELS) rows.push(await shop.rows(sql))
  return JSON.stringify(rows)
}
