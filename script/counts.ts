/**
 * Prints `passed failed` of one suite for script/test: `counts.ts vitest|conformance <what it wrote> <its exit status>`.
 * A suite that broke without saying what failed counts as one failure, so that nothing broken ever sums up as passed.
 */
import { readFileSync } from 'node:fs'

interface Counts {
  readonly passed: number
  readonly failed: number
}

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

const readers = {
  /** Files that could not even be loaded have no tests, and skipped tests have shown nothing: both count as failed. */
  vitest(text: string): Counts {
    const report = JSON.parse(text) as VitestReport
    const unloadable = report.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    )
    return { passed: report.numPassedTests, failed: report.numFailedTests + report.numPendingTests + unloadable.length }
  },

  /** The last line is `N passed, N failed`; checks that do not apply to a broker follow it and are not counted. */
  conformance(text: string): Counts {
    const last = text.trimEnd().split('\n').at(-1) ?? ''
    const [, passed = 0, failed = 0] = /^(\d+) passed, (\d+) failed/.exec(last) ?? []
    return { passed: Number(passed), failed: Number(failed) }
  },
}

export function counts(suite: keyof typeof readers, file: string, status: number): Counts {
  const { passed, failed } = read(file, readers[suite])
  const brokeSilently = failed === 0 && (status !== 0 || passed === 0)
  return { passed, failed: brokeSilently ? 1 : failed }
}

function read(file: string, reader: (text: string) => Counts): Counts {
  try {
    return reader(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 0 }
  }
}

if (process.argv[1] === import.meta.filename) {
  const [suite, file = '', status = '1'] = process.argv.slice(2)
  const { passed, failed } = counts(suite === 'vitest' ? 'vitest' : 'conformance', file, Number(status))
  console.log(`${passed} ${failed}`)
}
