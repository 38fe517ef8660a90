#!/usr/bin/env node
/** `npm run conformance -- <target>… [--json] [--only text]`: runs the suites of brokers and event storages. Exit 1 if a check fails. */
import { parseArgs } from 'node:util'
import type { CheckResult } from '../suite/check.ts'
import { resultLine, resultsAsJson, skipReasons, summaryLine } from '../suite/report.ts'
import type { Choice } from '../suite/runner.ts'
import { checkNames, type Runnable, runnable, targetNames, targetsWithServers } from './runnables.ts'

const usage = `Usage: npm run conformance -- <target>… [options]

  <target>            brokers: ${targetNames.brokers.join(', ')};
                      event storages: ${targetNames.storages.join(', ')};
                      or the path of a module that exports createBroker or createStorage
  --only <text>       only checks whose name holds the text
  --json              results as JSON on standard output
  --concurrency <n>   checks run at once (default 4)
  --backlog <n>       brokers: messages waiting in the check of memory (default 100000)
  --events <n>        event storages: events in the checks of a long stream and of memory (default 100000)
  --list              names of all checks, of these targets or of all
  --targets           names of all targets, each with the variable that names its server, where it needs one`

process.exitCode = await main()
// What would not stop must not keep this process; what was written is out by then.
setTimeout(() => process.exit(), 2_000).unref()

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      targets: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      concurrency: { type: 'string' },
      backlog: { type: 'string' },
      events: { type: 'string' },
    },
  })
  if (values.targets) {
    for (const { name, variable } of targetsWithServers()) console.log(`${name} ${variable ?? ''}`.trimEnd())
    return 0
  }
  if (values.help || (positionals.length === 0 && !values.list)) return say(usage, values.help ? 0 : 2)
  const chosen: Runnable[] = []
  for (const name of positionals) {
    const one = await runnable(name)
    if (one === undefined) return say(`There is no broker, no event storage and no module '${name}'.\n\n${usage}`, 2)
    chosen.push(one)
  }
  if (values.list) {
    for (const name of checkNames(chosen)) console.log(name)
    return 0
  }
  const results = await runEach(chosen, values.json, {
    ...(values.only === undefined ? {} : { only: values.only }),
    ...(values.concurrency === undefined ? {} : { concurrency: Number(values.concurrency) }),
    ...(values.backlog === undefined ? {} : { backlog: Number(values.backlog) }),
    ...(values.events === undefined ? {} : { events: Number(values.events) }),
  })
  if (values.json) {
    console.log(resultsAsJson(results))
    console.error(summaryLine(results))
  } else {
    for (const line of ['', ...skipReasons(results), summaryLine(results)]) console.log(line)
  }
  if (results.length === 0) return say(`No check has '${values.only}' in its name; --list shows them all.`, 2)
  return results.some(({ result }) => result === 'failed') ? 1 : 0
}

/** One target after the other, so that none is disturbed by another. With several each result tells its target. */
async function runEach(
  chosen: readonly Runnable[],
  quiet: boolean,
  options: Choice & { readonly backlog?: number; readonly events?: number },
): Promise<(CheckResult & { readonly target?: string })[]> {
  const all: (CheckResult & { readonly target?: string })[] = []
  const several = chosen.length > 1
  for (const one of chosen) {
    const { name } = one
    if (several && !quiet) console.log(`${all.length === 0 ? '' : '\n'}${name}`)
    const onResult = (result: CheckResult): void => {
      if (!quiet) console.log(resultLine(result))
    }
    const { results } = await one.run({ ...options, onResult })
    if (several && !quiet) console.log(`${name}: ${summaryLine(results)}`)
    all.push(...(several ? results.map((result) => ({ ...result, target: name })) : results))
  }
  return all
}

function say(text: string, code: number): number {
  console.error(text)
  return code
}
