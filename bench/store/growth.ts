/** What an append and a read cost in a store of so many events. */
import type { EventStore } from 'busbar/eventstore'
import type { Plan } from '../plan.ts'
import { Placed } from './projecting.ts'

const note = 'x'.repeat(42)

/**
 * @param rows Events that are there: streams `order-0`, `order-100` and so on, of 100 each.
 */
export async function measureCost(
  store: EventStore,
  rows: number,
  plan: Plan,
  report: (measure: string, unit: 'µs', value: number) => void,
): Promise<void> {
  const at = `at ${rows.toExponential().replace('+', '')} rows`
  const appends = Math.max(20, plan.costSample / 10)
  await appendSome(store, `settling-${rows}`, appends)
  let begin = performance.now()
  await appendSome(store, `cost-${rows}`, appends)
  report(`append, cost per message ${at}`, 'µs', ((performance.now() - begin) / appends) * 1_000)
  const reads = Math.max(5, plan.costSample / 100)
  // Uncounted: until everything is compiled.
  for (const until = performance.now() + plan.settle; performance.now() < until;) await readSome(store, rows, reads)
  begin = performance.now()
  const read = await readSome(store, rows, reads)
  report(`read of 100, cost per message ${at}`, 'µs', ((performance.now() - begin) / Math.max(1, read)) * 1_000)
}

/** Each to a stream of its own. */
async function appendSome(store: EventStore, streams: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await store.append(`${streams}-${n}`, Placed.create({ total: 1, note }), { expected: 'none' })
  }
}

/** Resolves to how many events there were in so many streams. */
async function readSome(store: EventStore, rows: number, streams: number): Promise<number> {
  let read = 0
  for (let n = 0; n < streams; n++) {
    const stream = `order-${Math.floor(((n * 7919) % rows) / 100) * 100}`
    for await (const _ of store.readStream(stream)) read++
  }
  return read
}
