/** `npm run chaos -- <broker>`: ends with one line of JSON; exit 1 where a promise broke. */
import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { ConformanceTarget } from '../packages/busbar/src/testing/conformance/target.ts'
import { targetOf } from '../packages/busbar/src/testing/conformance/targets/index.ts'
import { chaosBrokers, chaosRuns, outboxBroker } from './brokers.ts'
import { NotDurableError } from './place.ts'
import { runOutboxChaos } from './outbox/run.ts'
import { runChaos } from './run.ts'

const usage = `Usage: npm run chaos -- <broker> [options]

  <broker>          ${Object.keys(chaosBrokers).join(', ')}, or the path of a module that exports createBroker;
                    or outbox: orders with an outbox, relayed to --to, handled with an inbox
  --to <broker>     with outbox: what it is relayed to (default ${outboxBroker})
  --messages <n>    messages to publish (default 100000; with outbox 20000)
  --rate <n>        messages in a second, at most (default 2000; with outbox 200)
  --short           3000 messages at 400 a second (with outbox 900 at 60)
  --seed <n>        draws the faults; told with the result (default: another each time)
  --patience <s>    seconds without movement after which what has not come is lost (default 60)
  --keep            keeps the ledger and the server's data, and tells where
  --json            only the closing line
  --brokers         names of all brokers, each with the server that it needs, where it needs one`

process.exitCode = await main()
// What is left of a server or a broker must not keep this process; the line is out by then.
setTimeout(() => process.exit(), 5_000).unref()

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      messages: { type: 'string' },
      to: { type: 'string', default: outboxBroker },
      rate: { type: 'string' },
      short: { type: 'boolean', default: false },
      seed: { type: 'string' },
      patience: { type: 'string', default: '60' },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      brokers: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.brokers) {
    for (const [each, { server = '' }] of Object.entries(chaosRuns))
      process.stdout.write(`${each} ${server}`.trimEnd() + '\n')
    return 0
  }
  const [name, ...more] = positionals
  if (name === undefined || more.length > 0 || values.help) return refuse(usage, values.help ? 0 : 2)
  const { short } = values
  const isOutbox = name === 'outbox'
  const [most, fastest] = isOutbox ? (short ? [900, 60] : [20_000, 200]) : short ? [3_000, 400] : [100_000, 2_000]
  const messages = Number(values.messages ?? most)
  const rate = Number(values.rate ?? fastest)
  const seed = Number(values.seed ?? randomInt(1_000_000))
  const patience = Number(values.patience) * 1_000
  for (const [option, value] of Object.entries({ messages, rate, seed, patience })) {
    if (!(value > 0 && Number.isFinite(value)) && !(option === 'seed' && value === 0)) {
      return refuse(`--${option} must be a number above 0\n\n${usage}`, 2)
    }
  }
  const over = isOutbox ? values.to : name
  const target = targetFor(over)
  if (target === undefined) return refuse(`There is no durable broker and no module '${over}'.\n\n${usage}`, 2)
  try {
    const result = await (isOutbox ? runOutboxChaos : runChaos)({
      target,
      broker: chaosBrokers[over] ?? { setting: 'of its own' },
      messages: Math.ceil(messages),
      rate,
      seed,
      patience,
      keep: values.keep,
      say: (text) => {
        if (!values.json) process.stderr.write(`${text}\n`)
      },
    })
    process.stdout.write(`${JSON.stringify(result)}\n`)
    return result.broken.length === 0 ? 0 : 1
  } catch (error) {
    if (error instanceof NotDurableError) return refuse(error.message, 2)
    throw error
  }
}

function targetFor(name: string): ConformanceTarget | undefined {
  const path = resolve(name)
  if (extname(path) !== '' && existsSync(path)) return { name, module: pathToFileURL(path).href }
  return Object.hasOwn(chaosBrokers, name) ? targetOf(name) : undefined
}

function refuse(text: string, code: number): number {
  process.stderr.write(`${text}\n`)
  return code
}
