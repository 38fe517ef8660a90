/** `./script/demo`: real GitHub webhooks through the bus. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError } from 'commander'

import { App, placeOf } from './app.ts'
import { isGood, once } from './once.ts'
import { summary } from './summary.ts'

const DEFAULT_FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'data', 'webhooks.db')

interface Options {
  readonly rate: number
  readonly once?: true
  readonly json?: true
  readonly times?: number
  readonly broker?: string
  readonly file: string
}

const program = new Command('demo')
  .description('Sends real GitHub webhooks through Busbar: streams until Ctrl-C, or sends everything once and checks.')
  .option('--rate <number>', 'messages a second, when streaming', positive, 100)
  .option('--once', 'send every payload --times times, wait, repair, redrive, compare, and end')
  .option('--times <number>', 'how often, with --once (default: 20)', whole)
  .option('--json', 'with --once: the last line is the result as JSON')
  .option('--file <path>', 'where the bus and the example keep what they know', DEFAULT_FILE)
  .option('--broker <url>', 'another broker: memory: or sqlite:<path> (default: sqlite: at --file)')
  .addHelpText('after', '\nStarted again on the same file, it goes on where it was.')
  .showHelpAfterError('(--help lists the options)')
  .action(main)

async function main(options: Options): Promise<void> {
  if (options.once !== true && options.json === true) program.error("error: option '--json' needs '--once'")
  if (options.once !== true && options.times !== undefined) program.error("error: option '--times' needs '--once'")
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const app = await App.start(placeOf(options.file, options.broker))
  try {
    const report = await once(app, { times: options.times ?? 20, say })
    const { redelivered: _redelivered, ...line } = report
    process.stdout.write(options.json === true ? `${JSON.stringify(line)}\n` : summary(report))
    if (!isGood(report)) process.exitCode = 1
  } finally {
    await app.stop()
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

function whole(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(Number.isSafeInteger(value) && value >= 1))
    throw new InvalidArgumentError('It must be a whole number from 1.')
  return value
}

await program.parseAsync()
