/** The whole job, once: send everything, wait until it is settled, repair what failed, send it again, and compare. */
import { performance } from 'node:perf_hooks'

import { type App, GROUPS } from './app.ts'
import { payloads } from './payloads.ts'
import { type Tally, tally } from './tally.ts'

export interface OnceOptions {
  /** How often every payload is sent. */
  readonly times: number
  /** Told what happens, in words. */
  readonly say: (text: string) => void
}

export interface Report extends Tally {
  /** Of this start; a job that was cut off took longer altogether. */
  readonly seconds: number
}

/** Milliseconds for all of it to settle. Far more than it takes: where that is not enough, something hangs. */
const PATIENCE = 600_000

export async function once(app: App, { times, say }: OnceOptions): Promise<Report> {
  const began = performance.now()
  const rounds = app.ledger.planRounds(times)
  const of = `${payloads.length} payloads × ${rounds}`
  say(app.ledger.resumed ? `going on with the job that was cut off: ${of}` : `sending ${of}`)
  // The counts of the bus die with the process, so they are written down as it goes.
  const noting = setInterval(() => app.noteCounts(), 100)
  try {
    while ((await app.send()) > 0);
    say('sent; waiting until every group has settled it')
    await app.bus.idle({ timeout: PATIENCE })
    for (const { count, type, group, errorMessage } of await app.bus.deadLetters.grouped()) {
      say(`${count} dead letters of ${type} in group ${group}: ${errorMessage}`)
    }
    const redriven = await app.repair()
    say(`repaired the mirror and sent it ${redriven} again`)
    await app.bus.idle({ timeout: PATIENCE })
    await app.noteDeadLetters()
  } finally {
    clearInterval(noting)
    app.noteCounts()
  }
  const seconds = Math.round(performance.now() - began) / 1000
  const report = { ...tally(app.database, app.ledger.run, GROUPS), seconds }
  app.ledger.finish()
  return report
}

/** Nothing was lost, and nothing out of order where the broker promises order. */
export function isGood({ lost, outOfOrder }: Tally, ordered: boolean): boolean {
  return lost === 0 && (outOfOrder === 0 || !ordered)
}
