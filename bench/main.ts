/** `npm run bench -- [memory] [sqlite] [--quick] [--json]` */
import { parseArgs } from 'node:util'
import { plans, type PlanName } from './plan.ts'
import { runSuite } from './rounds.ts'
import { median, type Sample, series } from './sample.ts'
import type { Suite } from './suite.ts'
import { suites, type SuiteName } from './suites.ts'
import { printTables } from './table.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, plan: { type: 'string' } },
})
const names = positionals.length === 0 ? available() : positionals.map(suiteName)
const plan = values.quick === true ? 'quick' : planName(values.plan ?? 'full')
const json = values.json === true

const samples: Sample[] = []
for (const name of names) samples.push(...(await runSuite(name, plan, progress)))
progress('')

const measured = series(samples)
if (json) {
  process.stdout.write(
    `${JSON.stringify(measured.map(({ values: all, ...rest }) => ({ ...rest, value: median(all) })))}\n`,
  )
} else {
  printTables(measured, names, plan)
}

/** Those whose servers are there. */
function available(): SuiteName[] {
  const all = Object.entries<Suite>(suites) as [SuiteName, Suite][]
  return all.filter(([, { server }]) => server === undefined || process.env[server] !== undefined).map(([name]) => name)
}

function suiteName(given: string): SuiteName {
  if (Object.hasOwn(suites, given)) return given as SuiteName
  return usage(`there is no suite '${given}'`)
}

function planName(given: string): PlanName {
  if (Object.hasOwn(plans, given)) return given as PlanName
  return usage(`there is no plan '${given}'`)
}

function usage(problem: string): never {
  process.stderr.write(
    `${problem}\nnpm run bench -- [${Object.keys(suites).join('] [')}] [--quick] [--json] [--plan ${Object.keys(plans).join('|')}]\n`,
  )
  process.exit(2)
}

/** On a terminal one line that is written over; elsewhere nothing. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}
