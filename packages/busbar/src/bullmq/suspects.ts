import { performance } from 'node:perf_hooks'
import { blamed, SUSPECT_ALONE } from '../broker/blamed.ts'
import type { HandedOut } from './delivery.ts'
import type { Intake } from './intake.ts'

/** Milliseconds before it is asked again whether a suspect of another group runs. */
const BLAMED_PAUSE = 50

interface Suspect {
  readonly intake: Intake
  readonly delivery: HandedOut
}

/**
 * Jobs that a process died with in its hands. One of them may have killed it, so they are handed out one at a time, and the job
 * says so before: who dies next is known then, and the others are innocent.
 */
export class Suspects {
  private readonly hand: (intake: Intake, delivery: HandedOut) => void
  private readonly lose: (intake: Intake, delivery: HandedOut) => void
  private waiting: Suspect[] = []
  private out: HandedOut | undefined
  private timer: NodeJS.Timeout | undefined

  /** `hand` gets what may run now, `lose` what turns out not to be ours any more. */
  constructor(hand: Suspects['hand'], lose: Suspects['lose']) {
    this.hand = hand
    this.lose = lose
  }

  add(intake: Intake, delivery: HandedOut): void {
    this.waiting.push({ intake, delivery })
    this.next()
  }

  /** Also of one that waits, whose lock was lost: taken for the one that runs, it would never end, and hold up all others. */
  ended(delivery: HandedOut): void {
    blamed.end(delivery)
    if (this.out !== delivery) {
      this.waiting = this.waiting.filter((one) => one.delivery !== delivery)
      return
    }
    this.out = undefined
    this.next()
  }

  /** Those that wait: nothing is handed out any more. */
  drain(): readonly Suspect[] {
    clearTimeout(this.timer)
    return this.waiting.splice(0)
  }

  private next(): void {
    const { out } = this
    if (this.waiting.length === 0) return
    if (out !== undefined) {
      const left = SUSPECT_ALONE - (performance.now() - out.since)
      if (out.state !== 'out' || left > 0) return this.later(Math.max(left, 20))
    }
    if ((this.waiting[0]?.delivery.crashes ?? 0) > 0 && !blamed.mayRun()) return this.later(BLAMED_PAUSE)
    const { intake, delivery } = this.waiting.shift() as Suspect
    this.out = delivery
    if (delivery.crashes > 0) blamed.begin(delivery)
    delivery.since = performance.now()
    intake.markSuspect(delivery).then(
      (ours) => {
        if (!ours) return this.lose(intake, delivery)
        if (delivery.crashes > 0) blamed.begin(delivery)
        this.hand(intake, delivery)
      },
      // Not marked, so not run: it comes again when the server can be reached.
      () => this.putBack({ intake, delivery }),
    )
  }

  private putBack(suspect: Suspect): void {
    // Lost meanwhile, so that another one has its turn, or being given back.
    if (this.out !== suspect.delivery || suspect.delivery.state !== 'held') return
    this.out = undefined
    blamed.end(suspect.delivery)
    this.waiting.unshift(suspect)
    this.later(100)
  }

  private later(pause: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.next(), pause)
  }
}
