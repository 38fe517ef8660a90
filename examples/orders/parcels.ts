/** What the warehouse sent: waited for, and delivered to it a second time. */
import { setTimeout as sleep } from 'node:timers/promises'

import { OrderShipped } from './contracts.ts'
import type { Shop } from './shop.ts'

/** Milliseconds without a new parcel after which no more are waited for; what is missing is then reported. */
const PATIENCE = 60_000

/** Every order that has a parcel, as often as it has one. */
export async function parcelsOf(shop: Shop): Promise<readonly string[]> {
  const rows = await shop.rows<{ order_id: string }>('SELECT order_id FROM parcels')
  return rows.map(({ order_id }) => order_id)
}

/** Resolves when as many parcels are there as orders were shipped. */
export async function waitForParcels(shop: Shop, shipped: number): Promise<void> {
  let seen = -1
  for (let since = performance.now(); performance.now() - since < PATIENCE; await sleep(50)) {
    const { length } = await parcelsOf(shop)
    if (length >= shipped) break
    if (length !== seen) since = performance.now()
    seen = length
  }
  await shop.bus.idle({ timeout: PATIENCE })
}

/** Publishes some of the events again, with the same ids, as a relay does that was killed before it noted them. Returns how many. */
export async function deliverAgain(shop: Shop, some: number): Promise<number> {
  const again = []
  for await (const { known, event } of shop.store.readAll({ types: [OrderShipped], limit: some })) {
    if (known) again.push(event)
  }
  const plain = await shop.plainBus()
  try {
    await plain.publish(again)
  } finally {
    await plain.stop()
  }
  await shop.bus.idle({ timeout: PATIENCE })
  return again.length
}
