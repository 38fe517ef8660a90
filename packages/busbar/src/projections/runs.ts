import type { KnownEvent } from '../eventstore/index.ts'
import type { Projection, When } from './projection.ts'

/** Events for one call of a handler. */
export interface Run<Model> {
  readonly handler: When<Model>
  readonly events: readonly KnownEvent[]
}

/** One call for each event, or for several that follow each other where their handler takes many. The order stays. */
export function runsOf<Model>(projection: Projection<Model>, events: readonly KnownEvent[]): readonly Run<Model>[] {
  const runs: { readonly handler: When<Model>; readonly events: KnownEvent[] }[] = []
  for (const event of events) {
    const handler = projection.events.get(event.event.type)
    const last = runs.at(-1)
    if (handler === undefined) continue
    if (handler.many && last?.handler === handler) last.events.push(event)
    else runs.push({ handler, events: [event] })
  }
  return runs
}
