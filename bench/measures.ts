import { createHistogram } from 'node:perf_hooks'
import type { Plan } from './plan.ts'
import type { Sample } from './sample.ts'
import type { Subject } from './subject.ts'

type Measured = Pick<Sample, 'measure' | 'unit' | 'value'>

/** A way of measuring. Undefined: this subject cannot do that. */
export type Measure = (subject: Subject, plan: Plan) => Promise<readonly Measured[]> | undefined

/** In the order in which they are run: what is compared with peers last, when everything is compiled. */
export const MEASURES: readonly Measure[] = [
  publishing('publish one by one', 1, (subject) => (from) => subject.one(from)),
  publishing('publish 100 in flight', 100, (subject) => (from) => subject.window(from, 100)),
  publishing('publish 1000 in flight', 1_000, (subject) => (from) => subject.window(from, 1_000)),
  publishing('publish batches of 100', 100, ({ batch }) => batch && ((from) => batch(from, 100))),
  publishing('publish batches of 1000', 1_000, ({ batch }) => batch && ((from) => batch(from, 1_000))),
  consume,
  latency,
  endToEnd('end to end, 100 in flight', 100),
  endToEnd('end to end', 1_000),
]

/** Calls `send` and waits for it, again and again, while its messages wait for a handler that is away. */
function publishing(
  measure: string,
  size: number,
  sender: (subject: Subject) => ((from: number) => unknown) | undefined,
): Measure {
  return (subject, plan) => {
    const send = sender(subject)
    if (subject.line === undefined || send === undefined) return undefined
    return published(measure, size, send, subject.line, plan)
  }
}

async function published(
  measure: string,
  size: number,
  send: (from: number) => unknown,
  line: NonNullable<Subject['line']>,
  plan: Plan,
): Promise<readonly Measured[]> {
  await line.away()
  await repeat(send, size, plan.warmUp)
  await line.away()
  return [{ measure, unit: 'msg/s', value: await repeat(send, size, plan.duration) }]
}

/** @returns Messages a second. */
async function repeat(send: (from: number) => unknown, size: number, milliseconds: number): Promise<number> {
  const begin = performance.now()
  let now = begin
  let sent = 0
  for (; now - begin < milliseconds; now = performance.now()) {
    await send(sent)
    sent += size
  }
  return (sent / (now - begin)) * 1_000
}

/** A handler comes back to a backlog: from its return to the last message handled. */
function consume(subject: Subject, plan: Plan): Promise<readonly Measured[]> | undefined {
  const { line, tally } = subject
  if (line === undefined || line.forgets === true) return undefined
  const drain = async (backlog: number): Promise<number> => {
    await line.away()
    for (let sent = 0; sent < backlog; sent += 100) await (subject.batch ?? subject.window)(sent, 100)
    const begin = performance.now()
    const drained = tally.reach(tally.count + backlog)
    await line.back()
    await drained
    return (backlog / (performance.now() - begin)) * 1_000
  }
  return drain(plan.backlog / 10).then(async () => [
    { measure: 'consume', unit: 'msg/s', value: await drain(plan.backlog) },
  ])
}

/**
 * Publishes and handles at the same time, steadily: a window of so many messages is published when no more than as many
 * before it are still to be handled. The clock runs from one message handled to another, so no start-up is counted.
 */
function endToEnd(measure: string, inFlight: number): Measure {
  return async (subject, plan) => {
    const { line, tally } = subject
    await line?.away()
    await line?.back()
    const flow = new Flow(subject, inFlight)
    await flow.step()
    await flow.run(plan.warmUp)
    const value = await flow.run(plan.duration)
    await tally.reach(flow.sent)
    return [{ measure, unit: 'msg/s', value }]
  }
}

class Flow {
  sent: number
  private readonly subject: Subject
  private readonly inFlight: number

  constructor(subject: Subject, inFlight: number) {
    this.subject = subject
    this.inFlight = inFlight
    this.sent = subject.tally.count
  }

  async step(): Promise<void> {
    const { sent, inFlight } = this
    const room = this.subject.tally.reach(sent - inFlight)
    await this.subject.window(sent, inFlight)
    this.sent += inFlight
    await room
  }

  /** @returns Messages handled in a second. */
  async run(milliseconds: number): Promise<number> {
    const { tally } = this.subject
    const begin = performance.now()
    const from = tally.count
    // In a very short time what was published last may all be on its way still.
    do await this.step()
    while (performance.now() - begin < milliseconds || tally.count === from)
    return ((tally.count - from) / (performance.now() - begin)) * 1_000
  }
}

/** Until everything is compiled; measures nothing. */
export async function settle(subject: Subject, milliseconds: number): Promise<void> {
  const flow = new Flow(subject, 1_000)
  await flow.run(milliseconds)
  await subject.tally.reach(flow.sent)
}

/** One message at a time, from the call of publish to the call of the handler. */
async function latency(subject: Subject, plan: Plan): Promise<readonly Measured[]> {
  const { tally, line } = subject
  await line?.away()
  await line?.back()
  const histogram = createHistogram()
  const samples = async (milliseconds: number): Promise<void> => {
    const end = performance.now() + milliseconds
    for (let n = 0; n < plan.latencies && performance.now() < end; n++) {
      let handledAt = 0
      const handled = new Promise<void>((resolve) => {
        tally.at(tally.count + 1, () => {
          handledAt = performance.now()
          resolve()
        })
      })
      const begin = performance.now()
      await Promise.all([subject.one(n), handled])
      histogram.record(Math.max(1, Math.round((handledAt - begin) * 1e6)))
    }
  }
  await samples(plan.warmUp)
  histogram.reset()
  await samples(plan.duration)
  // A percentile of fewer samples than that says nothing.
  const enough = [0.5, 0.99, 0.999].filter((part) => part === 0.5 || histogram.count * (1 - part) >= 2)
  return enough.map((part) => ({
    measure: `latency p${part * 100}`,
    unit: 'µs',
    value: histogram.percentile(part * 100) / 1_000,
  }))
}
