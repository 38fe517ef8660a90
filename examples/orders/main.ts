/** `npm run orders`: orders as events, on SQLite or Postgres, with any broker behind. */
import { BusbarError } from 'busbar'
import { Command, InvalidArgumentError } from 'commander'

import { DatabaseError } from './database.ts'
import { type Result, run } from './run.ts'

interface Options {
  readonly orders: number
  readonly seed: number
  readonly database?: string
  readonly broker?: string
  readonly json?: boolean
}

const program = new Command('orders')
  .description(
    'Places, pays, ships and cancels orders, keeps read models of them, and compares those with a plain replay.',
  )
  .option('--orders <number>', 'how many', whole, 500)
  .option('--seed <number>', 'what is ordered: the same seed, the same orders', whole, 1)
  .option('--database <url>', 'sqlite:<file> or postgres://…[?schema=<name>] (default: a temporary SQLite file)')
  .option(
    '--broker <url>',
    'where a relay takes the events: redis://…, kafka://…, amqp://…, nats://… (default: the database)',
    reachable,
  )
  .option('--json', 'the last line, alone on standard output, is the result as JSON')
  .showHelpAfterError('(--help lists the options)')
  .action(main)

async function main({ json = false, ...options }: Options): Promise<void> {
  const out = json ? process.stderr : process.stdout
  const say = (line: string): void => void out.write(`${line}\n`)
  try {
    const { differences, ...line } = await run({ ...options, say })
    say(closing({ ...line, differences }))
    for (const difference of differences) process.stderr.write(`DIFFERS  ${difference}\n`)
    if (json) process.stdout.write(`${JSON.stringify(line)}\n`)
    process.exitCode = differences.length === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof BusbarError)) throw error
    program.error(`error: ${error.message}`)
  }
}

function closing({ differences, duplicates, missing, seconds }: Result): string {
  const verdict =
    differences.length === 0 ? 'all as a plain replay of the orders says' : `${differences.length} DIFFERENCES`
  return `checked    ${verdict}: ${missing} missing, ${duplicates} twice, in ${seconds} s`
}

/** The events are delivered a second time by a bus of its own, which has to find the same broker. */
function reachable(url: string): string {
  if (!/^memory:/i.test(url)) return url
  throw new InvalidArgumentError('It must be a broker that others reach, too; a broker in memory has one bus.')
}

function whole(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new InvalidArgumentError('It must be a whole number from 1.')
}

await program.parseAsync()
