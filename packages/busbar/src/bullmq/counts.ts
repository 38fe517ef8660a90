import type { Failure } from '../broker/index.ts'

/**
 * What Busbar remembers of a job's runs: the job's `progress`, so that it moves with the job. BullMQ itself counts `stalled`: how
 * often a process died, or lost its lock, with the job in its hands.
 */
export interface Counts {
  /** Runs begun, of which we were told. */
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  /** Times stalled that `attempts` knows of already. */
  readonly stalled: number
  /** Times stalled up to the last verdict; more than that, and the job is a suspect. */
  readonly cleared: number
  /** Why it was put aside. */
  readonly failure?: Failure
}

export const none: Counts = { attempts: 0, redeliveries: 0, crashes: 0, stalled: 0, cleared: 0 }

/** Of the progress of a job, whoever wrote it. */
export function countsOf(progress: unknown): Counts {
  if (typeof progress !== 'object' || progress === null) return none
  return { ...none, ...progress }
}

/** Where it stands when it is handed out, having stalled so often. A run cut off by the death of its process counts as begun. */
export function handedOut(counts: Counts, stalled: number): Counts & { readonly suspect: boolean } {
  const attempts = counts.attempts + Math.max(0, stalled - counts.stalled)
  return { ...counts, attempts, stalled, suspect: stalled > counts.cleared }
}

/** As if the run that is about to begin were the last thing that its process does: what a suspect is handed out with. */
export function mayCrash(counts: Counts): Counts {
  const { attempts, crashes, stalled } = counts
  return { ...counts, attempts: attempts + 1, crashes: crashes + 1, stalled: stalled + 1 }
}

/** `attempts` runs have begun, the last of them just now: should its process die, that one is counted. */
export function begun(counts: Counts, attempts: number): Counts {
  return { ...counts, attempts: Math.max(counts.attempts, attempts), stalled: counts.stalled + 1 }
}

/** There is a verdict: no suspicion any more. */
export function cleared(counts: Counts, attempts: number): Counts {
  return { ...counts, attempts: Math.max(counts.attempts, attempts), cleared: counts.stalled }
}
