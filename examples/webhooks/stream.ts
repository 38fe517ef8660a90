/** Streams the payloads at a steady rate, round and round, until it is told to stop; then drains. */
import { setTimeout as sleep } from 'node:timers/promises'

import { type App, GROUPS } from './app.ts'
import type { Latencies } from './latencies.ts'
import { type Snapshot, snapshotOf } from './snapshot.ts'
import { type Tally, tally } from './tally.ts'
import type { View } from './view.ts'

export interface StreamOptions {
  /** Messages a second. */
  readonly rate: number
  readonly view: View
  readonly latencies: Latencies
  /** Aborted when it is to stop. */
  readonly signal: AbortSignal
}

/** Milliseconds between two publishes. */
const TICK = 50
/** Milliseconds that the mirror refuses wiki pages, and then takes them, in turn. */
const OUTAGE = 15_000
/** Milliseconds that the drain waits for the groups. */
const DRAIN = 10_000

export interface Ended extends Tally {
  /** Whether every group had settled everything before the drain's deadline. */
  readonly drained: boolean
}

export class Stream {
  private readonly app: App
  private readonly options: StreamOptions
  private readonly startedAt = Date.now()
  private published = 0
  private mirrorWorks = false
  private before: Snapshot | undefined

  constructor(app: App, options: StreamOptions) {
    this.app = app
    this.options = options
  }

  /** Resolves when it was told to stop and has drained. */
  async run(): Promise<Ended> {
    const { app, options } = this
    const { view } = options
    if (app.ledger.resumed) view.say('going on where the last start was cut off')
    await Promise.all([this.send(), this.outages(), this.watch()])
    view.say('draining …')
    const drained = await app.bus.idle({ timeout: DRAIN }).then(
      () => true,
      () => false,
    )
    await app.noteDeadLetters()
    app.noteCounts()
    await this.show()
    const result = tally(app.database, app.ledger.run, GROUPS)
    if (drained && result.putAside === 0) app.ledger.finish()
    return { ...result, drained }
  }

  private async send(): Promise<void> {
    const { rate, signal } = this.options
    // What an earlier start had planned and not confirmed comes first, as fast as it goes.
    await this.sendPlanned()
    let planned = 0
    const began = Date.now()
    while (!signal.aborted) {
      const due = Math.floor(((Date.now() - began) / 1000) * rate) - planned
      if (due > 0) {
        this.app.ledger.plan(due)
        planned += due
        await this.sendPlanned()
      }
      await pause(TICK, signal)
    }
  }

  private async sendPlanned(): Promise<void> {
    for (let sent = await this.app.send(); sent > 0; sent = await this.app.send()) this.published += sent
  }

  private async outages(): Promise<void> {
    const { signal, view } = this.options
    for (;;) {
      await pause(OUTAGE, signal)
      if (signal.aborted) return
      if (this.mirrorWorks) {
        this.app.client.break()
        view.say('the mirror refuses wiki pages')
      } else {
        view.say(`the mirror is repaired: ${await this.app.repair()} dead letters redriven`)
      }
      this.mirrorWorks = !this.mirrorWorks
    }
  }

  private async watch(): Promise<void> {
    const { signal, view } = this.options
    while (!signal.aborted) {
      await this.show()
      this.app.noteCounts()
      await pause(view.interval, signal)
    }
  }

  private async show(): Promise<void> {
    const { startedAt, published, mirrorWorks } = this
    const { latencies, signal, view } = this.options
    const latency = latencies.percentiles(Date.now())
    const progress = { startedAt, published, latency, mirrorWorks, stopping: signal.aborted }
    this.before = await snapshotOf(this.app, progress, this.before)
    view.show(this.before)
  }
}

/** Ends early, without an error, when the signal is aborted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {})
}
