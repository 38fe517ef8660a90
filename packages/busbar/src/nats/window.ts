import type { Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { isLater, whenSettled } from '../broker/index.ts'
import { blamed, SUSPECT_ALONE } from '../broker/blamed.ts'
import type { HandedOut } from './delivery.ts'

/** What says of itself how many processes have died with it. */
interface Suspect {
  readonly crashes: number
}

/** Who wants a place in the window. */
export interface Wanting {
  wake(): void
}

/** The deliveries that one member has in memory: at most `prefetch` over all its partitions. */
export class Window {
  /** False: nothing is handed out any more. */
  handing = true
  /** Nothing is handed out before `subscribe` has told its caller that it has subscribed. */
  private begun = false

  private readonly prefetch: number
  private readonly deliver: Deliver
  private used = 0
  private readonly wanting = new Set<Wanting>()
  /** Who runs alone, and since when. */
  private readonly suspects = new Map<object, number>()

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

  private wakeWanting(): void {
    const wanting = [...this.wanting]
    this.wanting.clear()
    for (const who of wanting) who.wake()
  }

  /** Somebody waits for a place. */
  get wanted(): boolean {
    return this.wanting.size > 0
  }

  /** One suspect at a time, so that the one that kills the process is found; a long run counts as harmless. */
  get mayRunSuspect(): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const since of this.suspects.values()) if (since > recent) return false
    return true
  }

  /** The same, and of what a process has died with one at a time in the whole process. */
  mayRun({ crashes }: Suspect): boolean {
    return this.mayRunSuspect && (crashes === 0 || blamed.mayRun())
  }

  /** From now on it is the one that runs alone: of two whose starts are being stored at once, both would be blamed for the death of one. */
  reserve(suspect: Suspect): void {
    this.suspects.set(suspect, performance.now())
    if (suspect.crashes > 0) blamed.begin(suspect)
  }

  /** It is not handed out after all. */
  forget(suspect: Suspect): void {
    this.suspects.delete(suspect)
    blamed.end(suspect)
  }

  /** Runs `verdict` with what becomes of it, once; at once where the handler answers at once. */
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
}
