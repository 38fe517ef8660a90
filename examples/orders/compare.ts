/** Compares what the read models say with what the plan said. */
import type { Expected } from './expected.ts'
import { parcelsOf } from './parcels.ts'
import type { Shop } from './shop.ts'

export interface Compared {
  readonly orders: number
  readonly events: number
  readonly paid: number
  readonly shipped: number
  readonly cancelled: number
  /** Cents. */
  readonly revenue: number
  readonly parcels: number
  /** Parcels that were sent more than once, or for nothing. */
  readonly duplicates: number
  /** Orders that are not in the read model as they should be, and parcels that were not sent. */
  readonly missing: number
  /** In words; empty where nothing differs. */
  readonly differences: readonly string[]
}

interface OrderRow {
  readonly order_id: string
  readonly customer_id: string
  readonly status: string
  readonly total: number
}

interface RevenueRow {
  readonly day: string
  readonly customer_id: string
  readonly cents: number
}

export async function compare(shop: Shop, expected: Expected): Promise<Compared> {
  const orders = await shop.rows<OrderRow>('SELECT order_id, customer_id, status, total FROM orders')
  const revenue = await shop.rows<RevenueRow>('SELECT day, customer_id, cents FROM revenue')
  const parcels = await parcelsOf(shop)
  const types = await countTypes(shop)

  const shown = new Set(orders.map((row) => `${row.order_id} ${row.customer_id} ${row.status} ${row.total}`))
  const earned = new Map(revenue.map(({ day, customer_id, cents }) => [`${day} ${customer_id}`, cents]))
  const sent = new Set(parcels)
  const lost = [...expected.orders].filter((order) => !shown.has(order))
  const unsent = [...expected.shipped].filter((order) => !sent.has(order))
  const unasked = [...sent].filter((order) => !expected.shipped.has(order))

  const counts = {
    orders: orders.length,
    events: [...types.values()].reduce((sum, count) => sum + count, 0),
    paid: types.get('OrderPaid') ?? 0,
    shipped: types.get('OrderShipped') ?? 0,
    cancelled: types.get('OrderCancelled') ?? 0,
    revenue: sumOf(earned),
    parcels: sent.size,
    duplicates: parcels.length - sent.size + unasked.length,
    missing: lost.length + unsent.length,
  }
  const due = {
    orders: expected.orders.size,
    events: expected.events,
    paid: expected.paid,
    shipped: expected.shipped.size,
    cancelled: expected.cancelled,
    revenue: sumOf(expected.revenue),
    parcels: expected.shipped.size,
    duplicates: 0,
    missing: 0,
  }
  const differences = Object.entries(due).flatMap(([name, value]) => {
    const is = counts[name as keyof typeof counts]
    return is === value ? [] : [`${name}: ${is}, and it should be ${value}`]
  })
  for (const [key, cents] of expected.revenue) {
    if (earned.get(key) !== cents) differences.push(`revenue of ${key}: ${earned.get(key)}, and it should be ${cents}`)
  }
  for (const key of earned.keys()) if (!expected.revenue.has(key)) differences.push(`revenue of ${key} is invented`)
  return { ...counts, differences }
}

async function countTypes(shop: Shop): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for await (const { event } of shop.store.readAll({ categories: [shop.orders.category] })) {
    counts.set(event.type, (counts.get(event.type) ?? 0) + 1)
  }
  return counts
}

function sumOf(amounts: ReadonlyMap<string, number>): number {
  return [...amounts.values()].reduce((sum, cents) => sum + cents, 0)
}
