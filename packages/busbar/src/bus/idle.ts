import type { BrokerMetrics } from '../broker/index.ts'
import { BrokerError } from '../broker/index.ts'
import { type HandingOn, isSettled, waitingIn } from './handing-on.ts'

/** What a bus tells of its work. Words are for people; none where there is nothing. */
export interface Work {
  /** What is published and not confirmed. */
  publishing(): readonly string[]
  /** Grows with each batch that goes to the broker. */
  batches(): number
  /** What runs or waits in this process. */
  running(): readonly string[]
  handingOn(): Promise<HandingOn & { readonly broker: BrokerMetrics }>
  /** What the broker has for groups of this bus. */
  lagging(metrics: BrokerMetrics): readonly string[]
}

/** @throws BrokerError after `timeout` milliseconds, naming what is not settled. */
export async function untilIdle(work: Work, timeout: number): Promise<void> {
  const until = Date.now() + timeout
  for (let pause = 0; ; pause = Math.min(pause + 1, 20)) {
    const batches = work.batches()
    const publishing = work.publishing()
    const running = work.running()
    const before = await work.handingOn()
    const busy = [...publishing, ...waitingIn(before), ...running, ...work.lagging(before.broker)]
    // A batch that came and went meanwhile is not in what the broker said of the time before.
    const isQuiet = (): boolean => work.publishing().length === 0 && work.batches() === batches
    if (busy.length === 0 && isQuiet()) {
      if (before.outbox === undefined && before.relay === undefined) return
      // Nor is what a handler wrote in a transaction meanwhile, nor what was handed on.
      if (isSettled(before, await work.handingOn()) && isQuiet()) return
    }
    if (Date.now() > until) throw new BrokerError(`not idle after ${timeout} ms: ${busy.join('; ')}`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
