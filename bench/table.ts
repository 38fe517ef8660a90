import { cpus, release } from 'node:os'
import { type PlanName, plans } from './plan.ts'
import { median, ratio, type Series } from './sample.ts'
import { type SuiteName, suites } from './suites.ts'
import { targets } from './targets.ts'

/** Everything for people: one table a suite, what its subjects promise, and the targets. */
export function printTables(measured: readonly Series[], names: readonly SuiteName[], plan: PlanName): void {
  const { rounds } = plans[plan]
  print(
    `Node ${process.version}, ${process.platform} ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? '?'}`,
  )
  print(`Plan '${plan}': medians of up to ${rounds} interleaved rounds, in brackets the lowest and the highest.`)
  for (const name of names)
    printSuite(
      name,
      measured.filter((each) => each.suite === name),
    )
  print('\nTargets')
  for (const { text, met } of targets(measured)) print(`  ${met ? 'PASS' : 'miss'}  ${text}`)
}

function printSuite(name: SuiteName, measured: readonly Series[]): void {
  const suite = suites[name]
  print(`\n${name}\n`)
  const rows = [['measure', 'bytes', 'subject', 'median', '[min – max]', 'unit', 'busbar : it']]
  let before = ''
  for (const each of measured.toSorted((a, b) => rank(measured, a) - rank(measured, b))) {
    const place = `${each.measure} ${each.payloadBytes}`
    const first = place !== before
    before = place
    rows.push([
      first ? each.measure : '',
      first ? String(each.payloadBytes) : '',
      each.subject,
      number(median(each.values)),
      `[${number(Math.min(...each.values))} – ${number(Math.max(...each.values))}]`,
      each.unit,
      against(each, measured),
    ])
  }
  printColumns(rows, [0, 2, 5])
  print('')
  for (const note of suite.notes) print(`  ${note}`)
  for (const [subject, { promises }] of Object.entries(suite.subjects)) print(`  ${subject}: ${promises}.`)
}

/** Rows of the same measure and payload together, in the order in which they were measured. */
function rank(measured: readonly Series[], one: Series): number {
  return measured.findIndex((each) => each.measure === one.measure && each.payloadBytes === one.payloadBytes)
}

function against(other: Series, measured: readonly Series[]): string {
  if (other.subject === 'busbar') return ''
  const busbar = measured.find(
    (each) => each.subject === 'busbar' && each.measure === other.measure && each.payloadBytes === other.payloadBytes,
  )
  if (busbar === undefined) return ''
  const { median: middle, min, max } = ratio(busbar, other)
  return `${number(middle)} [${number(min)} – ${number(max)}]`
}

function printColumns(rows: readonly (readonly string[])[], left: readonly number[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      left.includes(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    print(`  ${cells.join('  ')}`.trimEnd())
  }
}

function number(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
