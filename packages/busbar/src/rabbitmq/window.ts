import { type Deliver, isLater, type Verdict, whenSettled } from '../broker/index.ts'
import { blamed } from '../broker/blamed.ts'
import type { HandedOut } from './delivery.ts'

/**
 * Milliseconds that a suspect runs alone; a longer run does not hold up the others. Long enough that a process which is short of
 * CPU does not begin the next one beside it, and so blames both when it dies.
 */
export const SUSPECT_ALONE = 5_000

/** Who has deliveries to hand out. */
export interface Wanting {
  /** Hands out one if it can; false: there is nothing that could go now. */
  handOutOne(): boolean
}

/**
 * The deliveries that one member has handed out, and whose ack has not left the process: at most `prefetch` over all its partitions, which
 * take turns.
 */
export class Window {
  /** False: nothing is handed out any more. */
  handing = true

  private readonly prefetch: number
  private readonly deliver: Deliver
  private readonly wanting = new Set<Wanting>()
  private readonly suspects = new Set<HandedOut>()
  /** Those who wait for the end of a suspect's run. */
  private readonly behind = new Set<Wanting>()
  private used = 0
  private pumping = false

  constructor(prefetch: number, deliver: Deliver) {
    this.prefetch = prefetch
    this.deliver = deliver
  }

  /** There may be something to hand out. */
  want(who: Wanting): void {
    this.wanting.add(who)
    this.pump()
  }

  enter(): void {
    this.used++
  }

  leave(count: number): void {
    this.used -= count
    this.pump()
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  hasSuspect(which: (delivery: HandedOut) => boolean): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const delivery of this.suspects) if (delivery.since > recent && which(delivery)) return true
    return false
  }

  hasOtherSuspect(than: HandedOut): boolean {
    return this.hasSuspect((one) => one !== than)
  }

  /** What a process has died with runs one at a time in the whole process. */
  mayRun(suspect: HandedOut): boolean {
    return suspect.crashes === 0 || blamed.mayRun(suspect)
  }

  /** From now on it is the one that runs alone; it is handed out when that is stored. */
  reserve(suspect: HandedOut): void {
    suspect.since = performance.now()
    this.suspects.add(suspect)
    if (suspect.crashes > 0) blamed.begin(suspect)
  }

  /** It is not handed out after all. */
  forget(suspect: HandedOut): void {
    blamed.end(suspect)
    if (this.suspects.delete(suspect)) this.letGo()
  }

  /** Runs `settle` with what becomes of it, once; at once where the handler answers at once. */
  run(delivery: HandedOut, settle: (delivery: HandedOut, verdict: Verdict) => void): void {
    delivery.state = 'out'
    delivery.since = performance.now()
    if (delivery.suspect) this.reserve(delivery)
    const done = (verdict: Verdict): void => {
      const released = this.suspects.delete(delivery)
      if (released) blamed.end(delivery)
      settle(delivery, verdict)
      if (released) this.letGo()
    }
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return done(verdict)
    whenSettled(verdict, { settled: done })
  }

  /** Asks again when the suspect that runs now is through. */
  standBehind(who: Wanting): void {
    this.behind.add(who)
  }

  private letGo(): void {
    const waited = [...this.behind]
    this.behind.clear()
    for (const who of waited) this.want(who)
  }

  /** One delivery of each in turn, while there is room. */
  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    try {
      while (this.handing && this.used < this.prefetch) {
        const [who] = this.wanting
        if (who === undefined) return
        this.wanting.delete(who)
        if (who.handOutOne()) this.wanting.add(who)
      }
    } finally {
      this.pumping = false
    }
  }
}
