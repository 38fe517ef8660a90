/** The rules: what a command makes happen to an order, and what becomes of the order by it. */
import { decider } from 'busbar/aggregates'

import { commands, events, OrderCancelled, OrderPaid, OrderPlaced, OrderShipped, totalOf } from './contracts.ts'

export type Status = 'new' | 'placed' | 'paid' | 'shipped' | 'cancelled'

export interface OrderState {
  readonly status: Status
  readonly orderId: string
  readonly customerId: string
  readonly email: string
  readonly total: number
}

/** The order is not in a state in which that can be done. */
export class OrderRefused extends Error {
  override readonly name = 'OrderRefused'
}

export const Order = decider({
  commands,
  events,
  initial: (): OrderState => ({ status: 'new', orderId: '', customerId: '', email: '', total: 0 }),

  decide: (command, { status, orderId, customerId, total }) => {
    const whose = { orderId, customerId }
    switch (command.type) {
      case 'PlaceOrder':
        allowOnly(status, ['new'], 'is placed once')
        if (command.data.lines.length === 0) throw new OrderRefused('an order has at least one line')
        return OrderPlaced.create(command.data)
      case 'PayOrder':
        allowOnly(status, ['placed'], 'is paid when it is placed')
        if (command.data.amount !== total) {
          throw new OrderRefused(`${total} cents are to be paid, not ${command.data.amount}`)
        }
        return OrderPaid.create({ ...whose, ...command.data })
      case 'ShipOrder':
        allowOnly(status, ['paid'], 'is shipped when it is paid')
        return OrderShipped.create({ ...whose, ...command.data })
      default:
        command.type satisfies 'CancelOrder'
        allowOnly(status, ['placed', 'paid'], 'is cancelled before it is shipped')
        return OrderCancelled.create({ ...whose, ...command.data, refund: status === 'paid' ? total : 0 })
    }
  },

  evolve: (state, event): OrderState => {
    switch (event.type) {
      case 'OrderPlaced': {
        const { orderId, customerId, email, lines } = event.data
        return { status: 'placed', orderId, customerId, email, total: totalOf(lines) }
      }
      case 'OrderPaid':
        return { ...state, status: 'paid' }
      case 'OrderShipped':
        return { ...state, status: 'shipped' }
      default:
        event.type satisfies 'OrderCancelled'
        return { ...state, status: 'cancelled' }
    }
  },
})

function allowOnly(status: Status, allowed: readonly Status[], rule: string): void {
  if (!allowed.includes(status)) throw new OrderRefused(`an order ${rule}; this one is ${status}`)
}
