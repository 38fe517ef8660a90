#!/usr/bin/env node
/** `npm run conformance -- <target> [--json] [--only text]`: runs the suite over one broker. Exit 1 if a check fails. */
import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { resultLine, resultsAsJson, skipReasons, summaryLine } from '../suite/report.ts'
import { runConformance } from './runner.ts'
import type { ConformanceTarget } from './target.ts'
import { builtInTargets, serverVariables, targetOf } from './targets/index.ts'

const usage = `Usage: npm run conformance -- <target> [options]

  <target>            ${builtInTargets.join(', ')}, or the path of a module that exports createBroker
  --only <text>       only checks whose name holds the text
  --json              results as JSON on standard output
  --concurrency <n>   checks run at once (default 4)
  --backlog <n>       messages waiting in the check of memory (default 100000)
  --list              names of all checks
  --targets           names of all targets, each with the variable that names its server, where it needs one`

process.exitCode = await main()
// A broker that would not stop must not keep this process; what was written is out by then.
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
    },
  })
  const [name, ...more] = positionals
  if (values.list) return list()
  if (values.targets) {
    for (const each of builtInTargets) console.log(`${each} ${serverVariables[each] ?? ''}`.trimEnd())
    return 0
  }
  if (name === undefined || more.length > 0 || values.help) return say(usage, values.help ? 0 : 2)
  const target = chosen(name)
  if (target === undefined) return say(`There is no broker and no module '${name}'.\n\n${usage}`, 2)
  const { results } = await runConformance(target, {
    ...(values.only === undefined ? {} : { only: values.only }),
    ...(values.concurrency === undefined ? {} : { concurrency: Number(values.concurrency) }),
    ...(values.backlog === undefined ? {} : { backlog: Number(values.backlog) }),
    onResult: (result) => {
      if (!values.json) console.log(resultLine(result))
    },
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

function chosen(name: string): ConformanceTarget | undefined {
  const builtIn = targetOf(name)
  if (builtIn !== undefined) return builtIn
  const path = resolve(name)
  if (extname(path) === '' || !existsSync(path)) return undefined
  return { name, module: pathToFileURL(path).href }
}

async function list(): Promise<number> {
  const { conformanceChecks } = await import('./checks/index.ts')
  for (const { name } of conformanceChecks) console.log(name)
  return 0
}

function say(text: string, code: number): number {
  console.error(text)
  return code
}
