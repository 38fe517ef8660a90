/** A report for people. */
import { styleText } from 'node:util'

import type { Report } from './once.ts'

export function summary(report: Report): string {
  const verdict = (bad: number): string => styleText(bad === 0 ? 'green' : 'red', count(bad))
  const handled = Object.entries(report.handled).map(([group, number]) => `${group} ${count(number)}`)
  const rows: readonly (readonly [string, string])[] = [
    ['published', count(report.published)],
    ['handled', handled.join(', ')],
    ['retried', count(report.retried)],
    ['redelivered', count(report.redelivered)],
    ['dead-lettered', `${count(report.deadLettered)}, of them redriven ${count(report.redriven)}`],
    ['lost', verdict(report.lost)],
    ['out of order', verdict(report.outOfOrder)],
    ['duplicated', `${count(report.duplicated)} (each with one effect)`],
    ['seconds', report.seconds.toFixed(1)],
  ]
  return rows.map(([name, value]) => `${styleText('bold', name.padEnd(14))} ${value}\n`).join('')
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}
