/**
 * The table of what each broker can do, made of the capabilities that the brokers themselves tell and of the checks of the
 * conformance suite: `npm run docs` writes it into docs/brokers.md, and a test fails where the two differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Capabilities } from '../packages/busbar/src/broker/index.ts'
import { BROKERS } from '../packages/busbar/src/config/brokers/index.ts'
import { brokerSettings } from '../packages/busbar/src/config/config.ts'
import { conformanceChecks } from '../packages/busbar/src/testing/conformance/checks/index.ts'
import { whySkipped } from '../packages/busbar/src/testing/suite/selection.ts'

const page = fileURLToPath(new URL('../docs/brokers.md', import.meta.url))
const [from, to] = ['<!-- made by npm run docs -->', '<!-- end -->']

/** What a row says, in words of people. */
const rows: readonly (readonly [string, (capabilities: Capabilities) => string])[] = [
  ['delivery', ({ delivery }) => delivery.replaceAll('-', ' ')],
  ['confirmed survives kill -9 of every process', ({ durable }) => yes(durable)],
  ['several processes share it', ({ multiProcess }) => yes(multiProcess)],
  ['groups', ({ groups }) => yes(groups)],
  ['broadcast', ({ broadcast }) => yes(broadcast)],
  ['order by key, across processes and a rebalance', ({ order }) => yes(order === 'key')],
  ['redelivery that survives', ({ redelivery }) => yes(redelivery)],
  ['a message that kills its process ends', ({ countsCrashes }) => yes(countsCrashes)],
  ['delay', ({ delay }) => yes(delay)],
  ['priority', ({ priority }) => (priority === 'native' ? 'whole backlog' : 'of what is in memory')],
  ['publishes inside your transaction', ({ transactions }) => (transactions ? 'yes' : 'by an outbox')],
  ['replay for a new group', ({ replay }) => yes(replay)],
  ['parking behind a failed key', ({ park }) => yes(park)],
  ['dead letters', ({ deadLetters }) => yes(deadLetters)],
  ['largest body', ({ maxMessageBytes }) => bytes(maxMessageBytes)],
]

const yes = (can: boolean): string => (can ? 'yes' : 'no')

function bytes(count: number): string {
  const units = [
    [1024 * 1024, 'MiB'],
    [1_000_000, 'MB'],
    [1024, 'KiB'],
  ] as const
  for (const [size, unit] of units) if (count >= size && count % size === 0) return `${count / size} ${unit}`
  return `${count} bytes`
}

export async function brokerTable(): Promise<string> {
  const names = Object.keys(BROKERS) as (keyof typeof BROKERS)[]
  const all = await Promise.all(names.map(async (name) => (await brokerOf(name)).capabilities))
  const lines = [
    ['', ...names.map((name) => `\`${name}\``)],
    ['---', ...names.map(() => '---')],
    ['URL', ...names.map((name) => BROKERS[name].schemes.map((scheme) => `\`${scheme}:\``).join(' '))],
    ...rows.map(([title, say]) => [title, ...all.map(say)]),
    [
      `checks of the suite (of ${conformanceChecks.length})`,
      ...all.map((capabilities) => String(conformanceChecks.length - off(capabilities).length)),
    ],
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Checks that a broker with these capabilities is not put to. */
function off(capabilities: Capabilities): readonly unknown[] {
  // A fault that only some targets can cause says nothing of the broker.
  const faults = { failDeadLetters: never, interrupt: never }
  return conformanceChecks.filter((check) => whySkipped(check, capabilities, faults) !== undefined)
}

function never(): never {
  throw new Error('nothing is run here')
}

async function brokerOf(name: keyof typeof BROKERS) {
  const { type, settings } = brokerSettings(BROKERS[name].example, {})
  return await BROKERS[type].load(settings)
}

/** The page with its table made anew. */
export async function madeAnew(text: string): Promise<string> {
  const [begin, end] = [text.indexOf(from), text.indexOf(to)]
  if (begin === -1 || end < begin) throw new Error(`docs/brokers.md has no '${from}' before '${to}'`)
  return `${text.slice(0, begin + from.length)}\n${await brokerTable()}\n${text.slice(end)}`
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(page, await madeAnew(readFileSync(page, 'utf8')))
}
