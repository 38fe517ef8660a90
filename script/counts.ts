/**
 * Prints `passed failed` of one suite for script/test: `counts.ts vitest|conformance <what it wrote> <its exit status>`.
 * A suite that broke without saying what failed counts as one failure, so that nothing broken ever sums up as passed.
 */
import { readFileSync } from 'node:fs'

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

interface Counts {
  readonly passed: number
  readonly failed: number
}

/** Files that could not even be loaded have no tests, and skipped tests have shown nothing: both count as failed. */
function ofVitest(text: string): Counts {
  const report = JSON.parse(text) as VitestReport
  const unloadable = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  return { passed: report.numPassedTests, failed: report.numFailedTests + report.numPendingTests + unloadable.length }
}

/** The last line of the conformance command is `N passed, N failed`; checks that do not apply to a broker are not counted. */
function ofConformance(text: string): Counts {
  const last = text.trimEnd().split('\n').at(-1) ?? ''
  const [, passed, failed] = /^(\d+) passed, (\d+) failed/.exec(last) ?? []
  return { passed: Number(passed ?? 0), failed: Number(failed ?? 0) }
}

function read(file: string, count: (text: string) => Counts): Counts {
  try {
    return count(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 0 }
  }
}

const [suite, file = '', status = '1'] = process.argv.slice(2)
const { passed, failed } = read(file, suite === 'vitest' ? ofVitest : ofConformance)
const brokeSilently = failed === 0 && (status !== '0' || passed === 0)
console.log(`${passed} ${brokeSilently ? 1 : failed}`)
