import { performance } from 'node:perf_hooks'
import type { HandedOut } from './delivery.ts'

/** Milliseconds that a suspect runs alone; a longer run does not hold up the others. */
export const SUSPECT_ALONE = 1_000

/**
 * Suspects that a process has died with before run one at a time in the whole process, whatever group or broker they are of. The
 * process dies as a whole: an innocent one that runs beside the one that kills it, in one life after the other, would
 * be blamed for each death.
 */
class Blamed {
  private readonly out = new Set<HandedOut>()
  private taking: { readonly by: object; readonly since: number } | undefined

  /** May `by` hand one out? */
  mayRun(by: object): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    if (this.taking !== undefined && this.taking.by !== by && this.taking.since > recent) return false
    for (const delivery of this.out) {
      if (delivery.since > recent) return false
      this.out.delete(delivery)
    }
    return true
  }

  /** `by` is about to fetch one: nobody else does, until `taken`. */
  take(by: object): void {
    this.taking = { by, since: performance.now() }
  }

  taken(by: object): void {
    if (this.taking?.by === by) this.taking = undefined
  }

  add(delivery: HandedOut): void {
    this.out.add(delivery)
  }

  delete(delivery: HandedOut): void {
    this.out.delete(delivery)
  }
}

/** Of this process. */
export const blamed = new Blamed()
