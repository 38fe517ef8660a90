/** What can be asked of an order, and what can happen to one. Amounts are cents. */
import { command, event } from 'busbar'
import { z } from 'zod'

const cents = z.int().nonnegative()
const line = z.object({ sku: z.string(), quantity: z.int().positive(), price: cents })
const whose = { orderId: z.string(), customerId: z.string() }

export type Line = z.infer<typeof line>

/** What stands where the address of somebody stood who was forgotten. */
export const FORGOTTEN = 'forgotten@example.invalid'

/** The address is the customer's, not the order's: forgetting one customer forgets it in all of their orders. */
const email = { personal: { email: FORGOTTEN }, person: ({ customerId }: { customerId: string }) => customerId }

const placed = { ...whose, email: z.email() }

/** The first release knew orders of one line only. Its events are still in the store. */
export const OrderPlacedV1 = event('OrderPlaced', z.object({ ...placed, ...line.shape, at: z.date() }), email)

export const OrderPlaced = event(
  'OrderPlaced',
  z.object({ ...placed, lines: z.array(line).min(1).readonly(), at: z.date() }),
  {
    ...email,
    version: 2,
    upcast: {
      1: ({ sku, quantity, price, ...rest }: Line) => ({ ...rest, lines: [{ sku, quantity, price }] }),
    },
  },
)
export const OrderPaid = event('OrderPaid', z.object({ ...whose, amount: cents, at: z.date() }))
export const OrderShipped = event('OrderShipped', z.object({ ...whose, at: z.date() }))
export const OrderCancelled = event('OrderCancelled', z.object({ ...whose, refund: cents, at: z.date() }))

export const events = [OrderPlaced, OrderPaid, OrderShipped, OrderCancelled] as const

export const PlaceOrder = command(
  'PlaceOrder',
  z.object({ ...placed, lines: z.array(line).readonly(), at: z.date() }),
  email,
)
export const PayOrder = command('PayOrder', z.object({ amount: cents, at: z.date() }))
export const ShipOrder = command('ShipOrder', z.object({ at: z.date() }))
export const CancelOrder = command('CancelOrder', z.object({ at: z.date() }))

export const commands = [PlaceOrder, PayOrder, ShipOrder, CancelOrder] as const

export function totalOf(lines: readonly Line[]): number {
  return lines.reduce((sum, { quantity, price }) => sum + quantity * price, 0)
}
