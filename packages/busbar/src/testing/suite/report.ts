import { styleText } from 'node:util'
import type { CheckResult } from './check.ts'

const marks = { passed: styleText('green', '✓'), failed: styleText('red', '✗'), skipped: styleText('yellow', '-') }

/** One line for a result, and for a failure what went wrong. */
export function resultLine({ name, result, ms, error, reason }: CheckResult): string {
  const line = `${marks[result]} ${name} ${styleText('dim', reason === undefined ? `(${ms} ms)` : `(skipped: ${reason})`)}`
  if (error === undefined) return line
  return `${line}\n    ${(error.stack ?? error.message).replaceAll('\n', '\n    ')}`
}

/** `N passed, N failed`, with what was skipped where there was any. */
export function summaryLine(results: readonly CheckResult[]): string {
  const count = (wanted: CheckResult['result']): number => results.filter(({ result }) => result === wanted).length
  const skipped = count('skipped')
  return `${count('passed')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** Why checks were skipped, the most frequent reason first. */
export function skipReasons(results: readonly CheckResult[]): readonly string[] {
  const reasons = new Map<string, number>()
  for (const { reason } of results) if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  return [...reasons].toSorted(([, a], [, b]) => b - a).map(([reason, count]) => `${count} skipped because ${reason}`)
}

/** The JSON form: an array of name, result and milliseconds; for a failure also its text, for a skip its reason, of several targets each its own. */
export function resultsAsJson(results: readonly (CheckResult & { readonly target?: string })[]): string {
  const rows = results.map(({ target, name, result, ms, error, reason }) => ({
    ...(target === undefined ? {} : { target }),
    name,
    result,
    milliseconds: ms,
    ...(error === undefined ? {} : { error: error.message }),
    ...(reason === undefined ? {} : { reason }),
  }))
  return JSON.stringify(rows, undefined, 2)
}
