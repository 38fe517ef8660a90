/** Puts a plan into the shop: the orders of the first release, then everything else, several orders at a time. */
import { CancelOrder, OrderPlacedV1, PayOrder, PlaceOrder, ShipOrder } from './contracts.ts'
import { OrderRefused } from './order.ts'
import type { PlannedOrder, Step } from './plan.ts'
import type { Shop } from './shop.ts'

/** Orders that are worked on at the same time: appends that wait together share a commit. */
const AT_ONCE = 16

/** What the first release left behind. Returns how many orders. */
export async function placeOldOrders(shop: Shop, plan: readonly PlannedOrder[]): Promise<number> {
  const old = plan.filter(({ legacy }) => legacy)
  const store = shop.firstRelease()
  await eachOf(old, async ({ orderId, customerId, email, lines: [line], at }) => {
    if (line === undefined) return
    const placed = OrderPlacedV1.create({ orderId, customerId, email, ...line, at })
    await store.append(shop.orders.stream(orderId), placed, { expected: 'none' })
  })
  return old.length
}

/** Returns how many commands the rules refused. */
export async function workThrough(shop: Shop, plan: readonly PlannedOrder[]): Promise<number> {
  let refused = 0
  await eachOf(plan, async (order) => {
    const { orderId, customerId, email, lines, at, legacy } = order
    if (!legacy) await shop.orders.handle(orderId, PlaceOrder.create({ orderId, customerId, email, lines, at }))
    for (const step of order.steps) {
      try {
        await shop.orders.handle(orderId, commandOf(step, order))
      } catch (error) {
        if (!(error instanceof OrderRefused)) throw error
        refused++
      }
    }
  })
  return refused
}

function commandOf({ what, at }: Step, { total }: PlannedOrder): Parameters<Shop['orders']['handle']>[1] {
  if (what === 'pay') return PayOrder.create({ amount: total, at })
  return what === 'ship' ? ShipOrder.create({ at }) : CancelOrder.create({ at })
}

async function eachOf<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const next = list.values()
  const worker = async (): Promise<void> => {
    for (const one of next) await work(one)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
