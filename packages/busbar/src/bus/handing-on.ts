import type { BrokerMetrics, Outbox, OutboxMetrics, RelayMetrics } from '../broker/index.ts'

/** What is written and has still to come to the broker. */
export interface HandingOn {
  readonly outbox?: OutboxMetrics
  readonly relay?: RelayMetrics
}

/** Of the outbox, and of what the broker keeps first. */
export async function handingOn(
  outbox: Outbox | undefined,
  measured: () => Promise<BrokerMetrics>,
): Promise<HandingOn & { readonly broker: BrokerMetrics }> {
  // Before the broker's numbers, in which is then what has left the outbox since.
  const waiting = await outbox?.metrics()
  const broker = await measured()
  const { relay } = broker
  return { broker, ...(waiting === undefined ? {} : { outbox: waiting }), ...(relay === undefined ? {} : { relay }) }
}

/** In words; empty where nothing waits. */
export function waitingIn({ outbox, relay }: HandingOn): readonly string[] {
  const places = [
    ['the outbox', outbox],
    ['the event store', relay],
  ] as const
  return places.flatMap(([name, metrics]) => {
    if (metrics === undefined || metrics.unsent === 0) return []
    const why = metrics.failing === undefined ? '' : ` (${metrics.failing})`
    return [`${name} has ${metrics.unsent} to hand on${why}`]
  })
}

/** Nothing waits in either, and nothing has left them between the two. */
export function isSettled(before: HandingOn, after: HandingOn): boolean {
  return waitingIn(before).length + waitingIn(after).length === 0 && movedOf(before) === movedOf(after)
}

function movedOf({ outbox, relay }: HandingOn): number {
  return (outbox?.moved ?? 0) + (relay?.moved ?? 0)
}
