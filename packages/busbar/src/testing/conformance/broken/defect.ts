import type { Broker } from '../../../broker/index.ts'
import type { BuiltInTarget } from '../targets/index.ts'

/** One way in which a broker can be wrong, and the check that must find it. */
export interface Defect {
  /** What the broker does, as a sentence without its subject. */
  readonly does: string
  /** Name of the check. */
  readonly caughtBy: string
  /** What the failed check says, so that it fails for the right reason. */
  readonly saying: RegExp
  /** The sound broker that is broken. */
  readonly base: BuiltInTarget
  wrap(broker: Broker): Broker
}
