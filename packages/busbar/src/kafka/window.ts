import { type Deliver, isLater, type SubscriptionSpec, type Verdict, whenSettled } from '../broker/index.ts'
import { blamed, SUSPECT_ALONE } from '../broker/blamed.ts'
import type { HandedOut } from './delivery.ts'

/** Who wants a place in the window. */
export interface Wanting {
  wake(): void
}

/**
 * What one member has handed out and not settled, or settled and not committed: at most `prefetch` over all its partitions, so
 * that no more than that comes again after a crash.
 */
export class Window {
  /** False: nothing is handed out any more. */
  handing = true
  /** Nothing is handed out before `subscribe` has told its caller that it has subscribed. */
  private begun = false

  readonly prefetch: number
  private readonly deliver: Deliver
  private used = 0
  private readonly wanting = new Set<Wanting>()
  private readonly suspects = new Set<HandedOut>()

  constructor(spec: SubscriptionSpec, deliver: Deliver) {
    this.prefetch = spec.prefetch
    this.deliver = deliver
  }

  get full(): boolean {
    return this.used >= this.prefetch
  }

  /** Takes a place, or remembers who is to be woken when there is one. */
  enter(who: Wanting): boolean {
    if (!this.handing) return false
    if (!this.begun || this.full) {
      this.wanting.add(who)
      return false
    }
    this.used++
    return true
  }

  leave(count: number): void {
    if (count === 0) return
    this.used -= count
    this.wakeWanting()
  }

  begin(): void {
    this.begun = true
    this.wakeWanting()
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  get mayRunSuspect(): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const { since } of this.suspects) if (since > recent) return false
    return true
  }

  /** The same, and of what a process has died with one at a time in the whole process. */
  mayRun({ crashes }: { readonly crashes: number }): boolean {
    return this.mayRunSuspect && (crashes === 0 || blamed.mayRun())
  }

  /** From now on it is the one that runs alone; it is handed out when that is stored. */
  reserve(suspect: HandedOut): void {
    suspect.since = performance.now()
    this.suspects.add(suspect)
    if (suspect.crashes > 0) blamed.begin(suspect)
  }

  /** It is not handed out after all. */
  forget(suspect: HandedOut): void {
    this.suspects.delete(suspect)
    blamed.end(suspect)
  }

  /** Runs `settle` with what becomes of it, once; at once where the handler answers at once. */
  handOut(delivery: HandedOut, settle: (delivery: HandedOut, verdict: Verdict) => void): void {
    delivery.state = 'out'
    delivery.attempts = delivery.begun
    delivery.since = performance.now()
    if (delivery.suspect) this.reserve(delivery)
    const done = (verdict: Verdict): void => {
      if (delivery.suspect) this.forget(delivery)
      settle(delivery, verdict)
    }
    const verdict = this.deliver(delivery)
    if (!isLater(verdict)) return done(verdict)
    whenSettled(verdict, { settled: done })
  }

  private wakeWanting(): void {
    const wanting = [...this.wanting]
    this.wanting.clear()
    for (const who of wanting) who.wake()
  }
}
