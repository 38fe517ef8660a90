import { createEventBus, event, silentLogger, type Subscription, typed } from 'busbar'
import { type Payload, payloads } from './payload.ts'
import { type Subject, together } from './subject.ts'
import { Tally } from './tally.ts'

/** One stream of events for each id; order is kept within it. */
export const OrderPlaced = event('OrderPlaced', typed<Payload>(), { subject: (data) => data.id })

/**
 * Busbar as its users hold it: all settings as they come, an `async` handler, one group.
 *
 * @param how `broadcast`: over a broker that has no groups, and keeps nothing for a handler that is away.
 */
export async function openBusbar(
  url: string,
  payloadBytes: number,
  { broadcast = false }: { readonly broadcast?: boolean } = {},
): Promise<Subject> {
  const bus = await createEventBus(url, { logger: silentLogger })
  const tally = new Tally()
  const payload = payloads(payloadBytes)
  const handler = async (): Promise<void> => tally.add()
  let group = 0
  let subscription: Subscription | undefined
  const subscribe = (): Promise<Subscription> =>
    bus.subscribe(OrderPlaced, handler, broadcast ? { broadcast } : { group: `bench-${group}` })

  const away = async (): Promise<void> => {
    await subscription?.unsubscribe()
    if (broadcast) return
    if (group > 0) await bus.getBroker().deleteGroup(`bench-${group}`)
    // A group has to be known before messages wait for it.
    group++
    await (await subscribe()).unsubscribe()
  }
  const back = async (): Promise<void> => {
    subscription = await subscribe()
  }
  const one = (n: number): Promise<void> => bus.publish(OrderPlaced.create(payload(n)))
  const batch = (from: number, count: number): Promise<void> => {
    const events = Array.from({ length: count }, (_, index) => OrderPlaced.create(payload(from + index)))
    return bus.publish(events)
  }
  await away()
  await back()
  return { tally, one, window: together(one), batch, line: { away, back, forgets: broadcast }, close: () => bus.stop() }
}
