/** The program as a person starts it. It imports the built library, as every user of it does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterEach, beforeEach, expect, test } from 'vitest'

const MAIN = path.join(import.meta.dirname, 'main.ts')

let folder: string
let file: string
let tables: string
const started = new Set<ChildProcess>()

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'busbar-webhooks-'))
  file = path.join(folder, 'demo.db')
  tables = path.join(folder, 'demo-models.db')
})

afterEach(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  started.add(child)
  const text = { out: '', err: '' }
  child.stdout.on('data', (data) => (text.out += String(data)))
  child.stderr.on('data', (data) => (text.err += String(data)))
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => {
      started.delete(child)
      resolve({ code, signal, ...text })
    })
  })
  return { child, ended }
}

const run = (...args: string[]): Promise<Ended> => start(...args).ended

/** What the example's tables say while the program is at work; undefined as long as there are none. */
function count(sql: string): number {
  if (!existsSync(tables)) return 0
  const database = new DatabaseSync(tables, { readOnly: true, timeout: 5_000 })
  try {
    return Number(Object.values(database.prepare(sql).get() ?? {})[0] ?? 0)
  } catch (error) {
    if (error instanceof Error && error.message.includes('no such table')) return 0
    throw error
  } finally {
    database.close()
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 40_000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`did not happen in time: ${what}`)
    await sleep(5)
  }
}

test.each(['sqlite', 'memory'])(
  'the whole job on %s: nothing lost, all in order, what failed is redriven',
  async (broker) => {
    const where = broker === 'memory' ? ['--broker', 'memory:'] : ['--file', file]
    const { code, out, err } = await run('--once', '--json', '--times', '2', ...where)
    expect(code, err).toBe(0)
    expect(out.trimEnd().split('\n')).toHaveLength(1)
    const result = JSON.parse(out)
    expect(Object.keys(result)).toEqual([
      'published',
      'handled',
      'retried',
      'deadLettered',
      'redriven',
      'lost',
      'duplicated',
      'outOfOrder',
      'seconds',
    ])
    expect(result).toMatchObject({
      published: 658,
      handled: { activity: 658, notify: 658, mirror: 658 },
      deadLettered: 6,
      redriven: 6,
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
    })
    expect(result.retried).toBeGreaterThan(0)
  },
)

test('killed in the middle and started again on the same file, it goes on where it was and nothing is lost', async () => {
  const first = start('--once', '--times', '8', '--file', file)
  await until('the mirror has handled some', () => count(`SELECT count(*) FROM handled WHERE consumer = 'mirror'`) > 50)
  first.child.kill('SIGKILL')
  expect((await first.ended).signal).toBe('SIGKILL')
  const left = 3 * 8 * 329 - count('SELECT count(*) FROM handled')
  expect(left, 'the kill came too late to be one in the middle').toBeGreaterThan(0)

  const { code, out, err } = await run('--once', '--json', '--times', '8', '--file', file)
  expect(code, err).toBe(0)
  expect(err).toContain('going on with the job that was cut off')
  expect(JSON.parse(out)).toMatchObject({
    published: 8 * 329,
    handled: { activity: 8 * 329, notify: 8 * 329, mirror: 8 * 329 },
    deadLettered: 24,
    redriven: 24,
    lost: 0,
    outOfOrder: 0,
  })
  expect(count('SELECT count(*) FROM run')).toBe(1)
  expect(count('SELECT sum(count) FROM activity'), 'the read model counts a duplicate twice').toBe(8 * 329)
})

test('a stream that is asked to stop drains; started again it goes on, and the job that ends it finds nothing missing', async () => {
  const stream = start('--rate', '500', '--file', file)
  await until('a wiki page is among what was handled', () => count(`SELECT count(*) FROM sent`) > 400)
  stream.child.kill('SIGINT')
  const { code, out, err } = await stream.ended
  expect(code, err).toBe(0)
  expect(out).toMatch(/published \d+ \(/)
  expect(out).toMatch(/lost +0\n/)
  expect(out).toMatch(/put aside +\d+ dead letters, kept for the next start/)

  const sent = count('SELECT count(*) FROM sent')
  const again = await run('--once', '--json', '--times', '1', '--file', file)
  expect(again.code, again.err).toBe(0)
  const result = JSON.parse(again.out)
  expect(result).toMatchObject({ published: sent + 329, lost: 0, outOfOrder: 0 })
  expect(result.redriven).toBe(result.deadLettered)
})

test('anything lost makes the exit code 1', async () => {
  // A message that the ledger holds for confirmed, and that no broker ever saw.
  expect((await run('--once', '--times', '1', '--file', file)).code).toBe(0)
  const database = new DatabaseSync(tables)
  database.exec(`INSERT INTO run (rounds) VALUES (1);
    INSERT INTO sent (run, id, payload, key, sequence, confirmed) VALUES (2, 'never-sent', 0, 'a/b', 1, 1)`)
  database.close()
  const { code, out } = await run('--once', '--json', '--file', file)
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({ published: 1, lost: 3 })
})

test.each([
  [['--times', '3'], /'--times' needs '--once'/],
  [['--json'], /'--json' needs '--once'/],
  [['--once', '--times', '0'], /'--times <number>' argument '0' is invalid\. It must be a whole number from 1/],
  [['--rate', 'fast'], /'--rate <number>' argument 'fast' is invalid\. It must be a number above 0/],
  [['--onec'], /unknown option '--onec'\n\(Did you mean --once\?\)/],
  [['--broker', 'pigeon:'], /unknown scheme; known: memory:, sqlite:/],
])('bad arguments %j are refused with what would be right', async (args, words) => {
  const { code, out, err } = await run(...args)
  expect(code).toBe(1)
  expect(err).toMatch(words)
  expect(err).toContain('--help')
  expect(out).toBe('')
})

test('a file that is no database, and a folder that cannot be made, are named with what to do', async () => {
  writeFileSync(file, 'this is text, not a database, and long enough to be looked at')
  const noDatabase = await run('--once', '--file', file)
  expect(noDatabase).toMatchObject({ code: 1, out: '' })
  expect(noDatabase.err).toContain(file)
  expect(noDatabase.err).not.toMatch(/\n\s+at /)

  const noFolder = await run('--once', '--file', path.join(file, 'below', 'demo.db'))
  expect(noFolder).toMatchObject({ code: 1, out: '' })
  expect(noFolder.err).toMatch(/cannot be made .*: name another file with --file/)

  writeFileSync(tables, 'this is text, not a database, and long enough to be looked at')
  rmSync(file)
  const noTables = await run('--once', '--file', file)
  expect(noTables).toMatchObject({ code: 1, out: '' })
  expect(noTables.err).toMatch(/demo-models\.db cannot be opened .*: name another file with --file/)
})
