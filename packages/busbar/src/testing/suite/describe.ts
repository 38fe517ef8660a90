import type { CheckOf } from './check.ts'
import type { Conformance } from './runner.ts'

/** What is used of a test runner. Vitest, Jest's globals and `node:test` fit. */
export interface TestRunner {
  readonly describe: (name: string, define: () => void) => unknown
  readonly test: (name: string, run: (context: { skip(reason?: string): void }) => Promise<void>) => unknown
}

/** Declares each check as a test. */
export function describeChecks<Check extends CheckOf<never, never>>(
  { describe, test }: TestRunner,
  title: string,
  conformance: Conformance<Check>,
): void {
  describe(title, () => {
    for (const check of conformance.checks) {
      test(check.name, async (context) => {
        const { result, error, reason } = await conformance.run(check)
        if (result === 'skipped') context.skip(reason)
        if (error !== undefined) throw error
      })
    }
  })
}
