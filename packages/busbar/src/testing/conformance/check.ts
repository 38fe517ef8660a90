import type { Capabilities } from '../../broker/index.ts'
import type { CheckContext } from './context.ts'
import type { TargetFaults } from './target.ts'

/** One thing that every broker with the capabilities must do. */
export interface Check {
  /** A sentence that is true of a sound broker; unique in the suite. */
  readonly name: string
  /**
   * Which brokers it applies to. Default: all. Written as `(c) => c.a && c.b`: the capability that was asked for last is told
   * as the reason of a skip.
   */
  readonly needs?: (capabilities: Capabilities) => boolean
  /** The fault that the target must be able to cause. */
  readonly fault?: keyof TargetFaults
  /** It measures memory or starts several processes: run beside no other such check. Default false. */
  readonly heavy?: boolean
  /** Throws if the sentence is not true. */
  run(context: CheckContext): Promise<void>
}

export interface CheckResult {
  readonly name: string
  readonly result: 'passed' | 'failed' | 'skipped'
  /** Milliseconds. */
  readonly ms: number
  /** Why it failed. */
  readonly error?: Error
  /** Why it was skipped: the capability or fault that is missing. */
  readonly reason?: string
}
