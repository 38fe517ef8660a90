import { Bus } from '@node-ts/bus-core'
import { Event } from '@node-ts/bus-messages'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

class OrderPlaced extends Event {
  readonly $name = 'bench/order-placed'
  readonly $version = 1
  readonly data: Payload
  constructor(data: Payload) {
    super()
    this.data = data
  }
}

const silent = (): void => {}
const logger = { debug: silent, trace: silent, info: silent, warn: silent, error: silent, fatal: silent }

/** Its in-memory queue with one handler, and everything else as it comes. */
export const open: Open = async (payloadBytes) => {
  const tally = new Tally()
  const bus = Bus.configure()
    .withLogger(() => logger)
    .withHandler({ messageType: OrderPlaced, messageHandler: async () => tally.add() })
    .build()
  await bus.initialize()
  await bus.start()
  const payload = payloads(payloadBytes)
  const one = (n: number): Promise<void> => bus.publish(new OrderPlaced(payload(n)))
  return { tally, one, window: together(one), close: () => bus.dispose() }
}
