import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { SqliteEventStorage } from '../sqlite/index.ts'
import { Order, storeOver } from './fixtures/orders.ts'
import type { RacerReport, RacerTask } from './fixtures/racer.ts'
import { repository } from './make-repository.ts'

const RACER = fileURLToPath(new URL('fixtures/racer.ts', import.meta.url))

class Racer {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: string[] = []
  #errors = ''

  constructor(task: RacerTask) {
    this.#child = spawn(process.execPath, [RACER, JSON.stringify(task)], { stdio: 'pipe' })
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()))
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#lines.push(line))
    onTestFinished(() => void this.#child.kill('SIGKILL'))
  }

  async loaded(): Promise<void> {
    await expect.poll(() => this.#lines.includes('loaded'), { timeout: 50_000 }).toBe(true)
  }

  go(): void {
    this.#child.stdin.write('go\n')
  }

  async report(): Promise<RacerReport> {
    if (this.#child.exitCode === null) await once(this.#child, 'close')
    expect(this.#child.exitCode, this.#errors).toBe(0)
    await expect.poll(() => this.#lines.length).toBe(2)
    return JSON.parse(this.#lines[1] ?? '') as RacerReport
  }
}

test('three processes that race for one aggregate lose no update: who was slower decides anew', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'busbar-race-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'events.db')
  const names = ['a', 'b', 'c']
  const COUNT = 25
  const racers = names.map((name) => new Racer({ file, name, count: COUNT }))
  // All have loaded the same empty order before any of them appends: two of the three must meet a conflict.
  await Promise.all(racers.map((racer) => racer.loaded()))
  for (const racer of racers) racer.go()
  const reports = await Promise.all(racers.map((racer) => racer.report()))
  const decided = reports.reduce((sum, report) => sum + report.decided, 0)
  expect(decided).toBeGreaterThanOrEqual(names.length * COUNT + 2)

  const store = storeOver(new SqliteEventStorage({ file }))
  await store.start()
  onTestFinished(() => store.stop())
  const total = names.length * COUNT
  const items = new Map(names.map((name) => [name, COUNT]))
  for (const snapshots of [false, true]) {
    const loaded = await repository(store, Order, { category: 'order', snapshots }).load('1')
    expect(loaded).toMatchObject({ revision: total - 1, state: { total } })
    expect(Object.fromEntries(loaded.state.items)).toEqual(Object.fromEntries(items))
  }
  expect((await store.info('snapshot-order-1')).revision).toBeGreaterThan(0)
}, 120_000)
