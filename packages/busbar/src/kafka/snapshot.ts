import type { OpenItem, Place } from './cursor.ts'
import type { HandedOut } from './delivery.ts'
import type { Intake } from './intake.ts'

/** A place to be committed, with what is to happen once it is. */
export interface Snapshot {
  readonly place: Place
  /** Settled since the last commit. */
  readonly settled: number
  readonly waiters: readonly (() => void)[]
  /** What may be handed out then. */
  readonly staged: readonly HandedOut[]
}

/** The place of a partition: what is open of what was handed out, and what was taken over open and still is to be handed out. */
export function placeOf(
  intake: Intake,
  log: Iterable<HandedOut>,
  asides: Iterable<HandedOut>,
  { clean, window }: { readonly clean: boolean; readonly window: number },
): Place {
  const out = [...log].map((one) => itemOf(one, clean))
  const outAsides = [...asides].map((one) => itemOf(one, clean))
  const taken = new Set(outAsides.map(({ offset }) => offset))
  const left = [...intake.inheritedAsides.values()].filter(({ offset }) => !taken.has(offset))
  const handed = Math.max(intake.position, intake.inherited)
  const offset = out[0]?.offset ?? intake.backlog[0]?.offset ?? handed
  const open = [...out, ...intake.backlog, ...outAsides, ...left]
  return { offset, clean, handed, grant: handed + (clean ? 0 : window), open }
}

function itemOf({ offset, aside, begun, crashes, suspect }: HandedOut, clean: boolean): OpenItem {
  const place = aside === undefined ? { offset: offset ?? 0, aside: false } : { offset: aside.offset, aside: true }
  return { ...place, attempts: begun, crashes, suspect, started: suspect && !clean }
}
