import { brokerConformance } from './runner.ts'
import type { ConformanceOptions } from './options.ts'
import type { ConformanceTarget } from './target.ts'

/** What is used of a test runner. Vitest, Jest's globals and `node:test` fit. */
export interface TestRunner {
  readonly describe: (name: string, define: () => void) => unknown
  readonly test: (name: string, run: (context: { skip(reason?: string): void }) => Promise<void>) => unknown
}

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
  { describe, test }: TestRunner,
  target: ConformanceTarget,
  options: ConformanceOptions = {},
): void {
  const suite = brokerConformance(target, options)
  describe(`broker conformance: ${target.name}`, () => {
    for (const check of suite.checks) {
      test(check.name, async (context) => {
        const { result, error, reason } = await suite.run(check)
        if (result === 'skipped') context.skip(reason)
        if (error !== undefined) throw error
      })
    }
  })
}
