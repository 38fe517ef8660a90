import { ServiceBroker } from 'moleculer'
import { payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

/** One node without a transporter, one service that listens to the event. */
export const open: Open = async (payloadBytes) => {
  const tally = new Tally()
  const broker = new ServiceBroker({ logger: false })
  broker.createService({
    name: 'orders',
    events: {
      'order.placed': {
        async handler(): Promise<void> {
          tally.add()
        },
      },
    },
  })
  await broker.start()
  const payload = payloads(payloadBytes)
  const one = (n: number): Promise<void> => broker.emit('order.placed', payload(n))
  return { tally, one, window: together(one), close: () => broker.stop() }
}
