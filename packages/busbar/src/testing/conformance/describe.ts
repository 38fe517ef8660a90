import { describeChecks, type TestRunner } from '../suite/describe.ts'
import type { ConformanceOptions } from './options.ts'
import { brokerConformance } from './runner.ts'
import type { ConformanceTarget } from './target.ts'

/**
 * Declares each check of the suite as a test.
 *
 * @example
 * import { describe, test } from 'vitest'
 * import { describeConformance } from 'busbar/testing'
 *
 * describeConformance({ describe, test }, { name: 'mine', module: new URL('./mine.ts', import.meta.url).href })
 */
export function describeConformance(
  runner: TestRunner,
  target: ConformanceTarget,
  options: ConformanceOptions = {},
): void {
  describeChecks(runner, `broker conformance: ${target.name}`, brokerConformance(target, options))
}
