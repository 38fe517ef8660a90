/** `./script/demo`: real GitHub webhooks through the bus. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { BusbarError, type Message } from 'busbar'
import { Command, InvalidArgumentError } from 'commander'

import { App } from './app.ts'
import { Latencies } from './latencies.ts'
import { isGood, once, type Report } from './once.ts'
import { type Place, PlaceError, placeAtUrl, placeInFile } from './place.ts'
import { Stream } from './stream.ts'
import { streamSummary, summary } from './summary.ts'
import { viewOf } from './view.ts'

const DEFAULT_FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'data', 'webhooks.db')

interface Options {
  readonly rate: number
  readonly once?: boolean
  readonly json?: boolean
  readonly times?: number
  readonly broker?: string
  readonly file?: string
}

const program = new Command('demo')
  .description('Sends real GitHub webhooks through Busbar: streams until Ctrl-C, or sends everything once and checks.')
  .option('--rate <number>', 'messages a second, when streaming', positive, 100)
  .option('--once', 'send every payload --times times, wait, repair, redrive, compare, and end')
  .option('--times <number>', 'how often, with --once (default: 20)', whole)
  .option('--json', 'with --once: the last line is the result as JSON')
  .option(
    '--file <path>',
    'SQLite file of the bus; the tables of the example lie beside it (default: webhooks.db in examples/webhooks/data)',
  )
  .option(
    '--broker <url>',
    'another broker for the bus: memory:, sqlite:<path>, postgres://…, redis://…, kafka://…, amqp://…, nats://…, bullmq://…',
  )
  .addHelpText('after', '\nStarted again on the same file, it goes on where it was.')
  .showHelpAfterError('(--help lists the options)')
  .action(main)

async function main(options: Options): Promise<void> {
  if (options.once !== true && options.json === true) program.error("error: option '--json' needs '--once'")
  if (options.once !== true && options.times !== undefined) program.error("error: option '--times' needs '--once'")
  try {
    process.exitCode = await (options.once === true ? runOnce(options) : runStream(options))
  } catch (error) {
    if (!isTheirs(error)) throw error
    program.error(`error: ${error.message}`)
  }
}

/** Returns the exit code: 1 if anything was lost, or out of order where the broker promises order. */
async function runOnce({ times = 20, json = false, ...where }: Options): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const app = await App.start(placeOf(where))
  try {
    const report = await once(app, { times, say })
    process.stdout.write(json ? `${JSON.stringify(lineOf(report))}\n` : summary(report))
    if (!app.ordered) say('this broker promises no order by key: outOfOrder tells what passed')
    return isGood(report, app.ordered) ? 0 : 1
  } finally {
    await app.stop()
  }
}

async function runStream({ rate, ...where }: Options): Promise<number> {
  const place = placeOf(where)
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // Whoever asks twice does not want to wait.
    process.on(name, () => (stopping.signal.aborted ? process.exit(130) : stopping.abort()))
  }
  const latencies = new Latencies()
  const handled = (_group: string, { time }: Message): void => latencies.add(time.getTime(), Date.now())
  const app = await App.start(place, { handled })
  try {
    const view = viewOf(process.stdout, `GitHub webhooks → ${place.title}`)
    const ended = await new Stream(app, { rate, view, latencies, signal: stopping.signal }).run()
    process.stdout.write(streamSummary(ended, app.durable))
    const inOrder = ended.outOfOrder === 0 || !app.ordered
    return inOrder && (!ended.drained || ended.lost === ended.putAside) ? 0 : 1
  } finally {
    await app.stop()
  }
}

function placeOf({ file, broker }: Pick<Options, 'file' | 'broker'>): Place {
  return broker === undefined ? placeInFile(file ?? DEFAULT_FILE) : placeAtUrl(broker, file)
}

/** An error that says itself what to do: where in the code it came from would not help who runs the demo. */
function isTheirs(error: unknown): error is Error {
  return error instanceof BusbarError || error instanceof PlaceError
}

/** The fields that other programs may rely on, in this order. */
function lineOf(report: Report): object {
  const { published, handled, retried, deadLettered, redriven, lost, duplicated, outOfOrder, seconds } = report
  return { published, handled, retried, deadLettered, redriven, lost, duplicated, outOfOrder, seconds }
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
