/** The bus of one process of a run. */
import { EventBus, silentLogger } from '../packages/busbar/src/bus/index.ts'
import type { TargetModule } from '../packages/busbar/src/testing/conformance/target.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { topic } from './message.ts'
import { type Place, say } from './words.ts'

/**
 * A started bus on which `prepare` has succeeded. What a broker refuses while its server is away is tried again with a new
 * one, as an application that is restarted would.
 */
export async function startedBus(place: Place, prepare: (bus: EventBus) => Promise<void>): Promise<EventBus> {
  const target = (await import(place.module)) as TargetModule
  for (;;) {
    const bus = new EventBus(await target.createBroker(place.options), {
      source: 'chaos',
      topics: { event: topic },
      logger: silentLogger,
    })
    const watch = setTimeout(() => void say({ trouble: 'start: neither done nor refused for 15 s' }), 15_000)
    try {
      await bus.start()
      await prepare(bus)
      return bus
    } catch (error) {
      await say({ trouble: `start: ${told(error)}` })
      await bus.stop({ deadline: 0 }).catch(() => undefined)
      await sleep(200)
    } finally {
      clearTimeout(watch)
    }
  }
}

/** With the place, where it is a mistake of the program and not of the world. */
export function told(error: unknown): string {
  if (!(error instanceof TypeError || error instanceof RangeError)) return String(error)
  return (error.stack ?? error.message).split('\n', 4).join(' ')
}
