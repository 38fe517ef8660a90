import type { Capabilities } from '../../broker/index.ts'
import type { CheckOf } from '../suite/check.ts'
import type { CheckContext } from './context.ts'
import type { TargetFaults } from './target.ts'

/** One thing that every broker with the capabilities must do. */
export type Check = CheckOf<CheckContext, Capabilities, keyof TargetFaults>
