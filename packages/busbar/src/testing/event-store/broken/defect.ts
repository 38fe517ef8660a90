import type { Append, EventStorage } from '../../../store/index.ts'
import type { HeldAppend } from '../target.ts'

/** One way in which a storage can be wrong, and the check that must find it. */
export interface Defect {
  /** What the storage does, as a sentence without its subject. */
  readonly does: string
  /** Name of the check. */
  readonly caughtBy: string
  /** What the failed check says, so that it fails for the right reason. */
  readonly saying: RegExp
  /** The sound storage that is broken. Default `memory`. */
  readonly base?: 'memory' | 'sqlite'
  wrap(storage: EventStorage): EventStorage
  /** Holds an append open, where the defect is about that. */
  hold?(storage: EventStorage, appends: readonly Append[]): Promise<HeldAppend>
}
