/** What event stores are measured by, whatever they are. */
import type { Plan } from '../plan.ts'

/** An event store that is set up and warm. Every append is to a stream of its own that is expected not to exist. */
export interface StoreSubject {
  readonly append: (stream: string, events: number) => Promise<unknown>
  /** Resolves to the number of events that were read. */
  readonly read: (stream: string) => Promise<number>
  readonly close: () => Promise<void>
}

/** Measures several stores in turns, so that what else the machine does meets all of them alike. */
export async function compare(
  subjects: Readonly<Record<string, StoreSubject>>,
  plan: Plan,
  report: (subject: string, measure: string, eventsPerSecond: number) => void,
): Promise<void> {
  let stream = 0
  const next = (): string => `bench-${process.pid}-${++stream}`
  const measures: readonly (readonly [string, (subject: StoreSubject) => Promise<() => Promise<number>>])[] = [
    ['append 1 event, serial', async (subject) => async () => (await subject.append(next(), 1), 1)],
    [
      'append 1 event, 50 concurrent',
      async (subject) => async () => {
        await Promise.all(Array.from({ length: 50 }, () => subject.append(next(), 1)))
        return 50
      },
    ],
    ['append 100 events', async (subject) => async () => (await subject.append(next(), 100), 100)],
    [
      'read a stream of 100',
      async (subject) => {
        const one = next()
        await subject.append(one, 100)
        return () => subject.read(one)
      },
    ],
  ]
  for (let round = 0; round < plan.rounds; round++) {
    for (const [measure, prepare] of measures) {
      const entries = Object.entries(subjects)
      for (const [name, subject] of round % 2 === 0 ? entries : entries.toReversed()) {
        const run = await prepare(subject)
        await timed(run, plan.warmUp + (round === 0 ? plan.settle : 0))
        report(name, measure, await timed(run, plan.duration))
      }
    }
  }
}

/** Events a second. */
async function timed(run: () => Promise<number>, milliseconds: number): Promise<number> {
  const begin = performance.now()
  let count = 0
  let elapsed = 0
  while (elapsed < milliseconds || count === 0) {
    count += await run()
    elapsed = performance.now() - begin
  }
  return (count / elapsed) * 1_000
}
