/** What has to come of a plan: computed from the plan alone, without Busbar. */
import type { PlannedOrder } from './plan.ts'

export interface Expected {
  /** `order customer status cents` of each order. */
  readonly orders: ReadonlySet<string>
  /** `day customer` and its cents. */
  readonly revenue: ReadonlyMap<string, number>
  readonly events: number
  readonly refused: number
  readonly paid: number
  /** Ids of the orders whose parcels are sent. */
  readonly shipped: ReadonlySet<string>
  readonly cancelled: number
}

const BECOMES = { pay: 'paid', ship: 'shipped', cancel: 'cancelled' } as const

export function expectedOf(plan: readonly PlannedOrder[]): Expected {
  const orders = new Set<string>()
  const revenue = new Map<string, number>()
  const shipped = new Set<string>()
  const counts = { events: 0, refused: 0, paid: 0, cancelled: 0 }
  for (const { orderId, customerId, total, steps } of plan) {
    counts.events++
    let status: string = 'placed'
    const earn = (at: Date, cents: number): void => {
      const key = `${at.toISOString().slice(0, 10)} ${customerId}`
      revenue.set(key, (revenue.get(key) ?? 0) + cents)
    }
    for (const { what, at, refused } of steps) {
      if (refused) {
        counts.refused++
        continue
      }
      counts.events++
      if (what === 'pay') {
        counts.paid++
        earn(at, total)
      }
      if (what === 'ship') shipped.add(orderId)
      if (what === 'cancel') {
        counts.cancelled++
        if (status === 'paid') earn(at, -total)
      }
      status = BECOMES[what]
    }
    orders.add(`${orderId} ${customerId} ${status} ${total}`)
  }
  return { orders, revenue, shipped, ...counts }
}
