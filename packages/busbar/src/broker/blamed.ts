import { performance } from 'node:perf_hooks'

/** Milliseconds that a suspect runs alone; a longer run does not hold up the others. */
export const SUSPECT_ALONE = 1_000

/**
 * Suspects that a process has died with before run one at a time in the whole process, whatever group or broker they are of. The
 * process dies as a whole: an innocent one that runs beside the one that kills it, in one life after the other, would
 * be blamed for each death.
 *
 * Who is refused asks again, a few times a second: it happens after crashes alone.
 */
class Blamed {
  /** What runs or is about to, and since when. */
  private readonly out = new Map<object, number>()

  /** May one more begin? `but` does not count. */
  mayRun(but?: object): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const [one, since] of this.out) {
      if (since <= recent) this.out.delete(one)
      else if (one !== but) return false
    }
    return true
  }

  /** It begins, or is being fetched: from now on it is the one that runs alone. */
  begin(one: object): void {
    this.out.set(one, performance.now())
  }

  /** It has settled, or does not run after all. */
  end(one: object): void {
    this.out.delete(one)
  }
}

/** Of this process. */
export const blamed = new Blamed()
