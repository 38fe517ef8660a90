import { event, type Event, getInMemoryMessageBus } from '@event-driven-io/emmett'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

type OrderPlaced = Event<'OrderPlaced', Payload>

export const open: Open = async (payloadBytes) => {
  const tally = new Tally()
  const bus = getInMemoryMessageBus()
  bus.subscribe<OrderPlaced>(async () => tally.add(), 'OrderPlaced')
  const payload = payloads(payloadBytes)
  const one = (n: number): Promise<void> => bus.publish(event<OrderPlaced>('OrderPlaced', payload(n)))
  return { tally, one, window: together(one), close: async () => {} }
}
