/** Results for people. */
import { styleText } from 'node:util'

import { count } from './format.ts'
import type { Report } from './once.ts'
import type { Ended } from './stream.ts'
import type { Tally } from './tally.ts'

/** Of a job that was done once. */
export function summary(report: Report): string {
  return rows([...counts(report), ['lost', verdict(report.lost)], ['seconds', report.seconds.toFixed(1)]])
}

/** Of a stream that was stopped. A durable bus keeps what is put aside or not handled yet for the next start. */
export function streamSummary(ended: Ended, durable: boolean): string {
  const fate = durable ? 'kept for the next start' : 'gone with this process'

  const missing = ended.lost - ended.putAside
  const left: (readonly [string, string])[] = ended.drained
    ? [['lost', verdict(missing)]]
    : [['not handled yet', `${count(missing)}, ${fate}`]]
  if (ended.putAside > 0) left.push(['put aside', `${count(ended.putAside)} dead letters, ${fate}`])
  return rows([...counts(ended), ...left])
}

function counts(tally: Tally): (readonly [string, string])[] {
  const handled = Object.entries(tally.handled).map(([group, number]) => `${group} ${count(number)}`)
  return [
    ['published', count(tally.published)],
    ['handled', handled.join(', ')],
    ['retried', count(tally.retried)],
    ['redelivered', count(tally.redelivered)],
    ['dead-lettered', `${count(tally.deadLettered)}, of them redriven ${count(tally.redriven)}`],
    ['duplicated', `${count(tally.duplicated)}, each with one effect`],
    ['out of order', verdict(tally.outOfOrder)],
  ]
}

function rows(lines: readonly (readonly [string, string])[]): string {
  return lines.map(([name, value]) => `${styleText('bold', name.padEnd(15))} ${value}\n`).join('')
}

function verdict(bad: number): string {
  return styleText(bad === 0 ? 'green' : 'red', count(bad))
}
