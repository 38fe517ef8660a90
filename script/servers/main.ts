/** `script/brokers`: real servers for tests. */
import { parseArgs } from 'node:util'
import { Brokers, type Status } from './brokers.ts'
import { brokersFolder, cacheFolder } from './folder.ts'
import { kinds } from './kinds.ts'
import { type ServerKind, type ServerName, serverNames } from './server.ts'

const usage = `script/brokers up [name…] [--durable] [--native]   starts servers, prints export lines for their URLs
script/brokers down [name…]                        ends what up started; data stays
script/brokers status [name…] [--json]             says what runs; with names, exits 1 unless all of those are ready

Names: ${serverNames.join(' ')} (default: all). Use: eval "$(script/brokers up redis)"
What BUSBAR_<NAME>_URL names already is used as it is. Else Docker, where an engine answers; else a native server.
--durable   confirmed means on the disk (Redis, NATS and Kafka sync each write; PostgreSQL and RabbitMQ do so anyway)
--native    never Docker
Everything is in .brokers/ (or what BUSBAR_BROKERS_FOLDER names); delete .brokers/<name> to begin with empty data.
`

function fail(text: string): never {
  process.stderr.write(`brokers: ${text}\n`)
  process.exit(1)
}

function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`)
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        durable: { type: 'boolean' },
        native: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${usage}`)
  }
}

function kindsOf(names: readonly string[]): readonly ServerKind[] {
  const unknown = names.filter((name) => !serverNames.includes(name as ServerName))
  if (unknown.length > 0) fail(`there is no server ${unknown.join(', ')}; there are ${serverNames.join(', ')}`)
  const wanted = names.length === 0 ? serverNames : serverNames.filter((name) => names.includes(name))
  return wanted.map((name) => kinds[name])
}

function lineOf({ name, state, source, pid, url }: Status): string {
  const cells = [name.padEnd(9), state.padEnd(14), (source ?? '').padEnd(7), String(pid ?? '').padEnd(8), url ?? '']
  return cells.join(' ').trimEnd()
}

const { values: options, positionals } = parse()
const [command, ...names] = positionals
const brokers = new Brokers({ folder: brokersFolder(), cache: cacheFolder(), env: process.env, say })

async function main(): Promise<void> {
  if (options.help === true) {
    process.stdout.write(usage)
    return
  }
  if (command === 'up') {
    const { durable = false, native = false } = options
    for (const server of await brokers.up(kindsOf(names), { durable, native })) {
      const { kind } = server
      if ('reason' in server) {
        process.stderr.write(`brokers: ${kind.name} cannot be had: ${server.reason}\n`)
        process.exitCode = 1
      } else if (server.source === 'env') {
        say(`${kind.name}: ${kind.variable} is set already`)
      } else {
        process.stdout.write(`export ${kind.variable}='${server.url}'\n`)
      }
    }
    return
  }
  if (command === 'down') {
    await brokers.down(kindsOf(names))
    return
  }
  if (command === 'status') {
    const all = await brokers.status(kindsOf(names))
    process.stdout.write(options.json === true ? `${JSON.stringify(all)}\n` : `${all.map(lineOf).join('\n')}\n`)
    if (names.length > 0 && all.some(({ state }) => state !== 'ready')) process.exitCode = 1
    return
  }
  fail(`${command === undefined ? 'say what to do' : `there is no command ${command}`}\n\n${usage}`)
}

await main().catch((error: unknown) => fail((error as Error).message))
