import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { EventStore } from '../eventstore/index.ts'
import { SqliteEventStorage } from '../sqlite/index.ts'
import { sqliteDatabase } from '../transaction/database.ts'
import { Cancelled, Placed, totals } from './fixtures/shop.ts'
import { Projections, SqlReadModel } from './index.ts'

const WORKER = fileURLToPath(new URL('fixtures/worker.ts', import.meta.url))
const STREAMS = 25
const EVENTS = 4_000

test('each event changes the model exactly once, in processes that are killed with -9 in the middle of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-projection-kill-'))
  const [events, model] = [join(folder, 'events.db'), join(folder, 'model.db')]
  const store = new EventStore(new SqliteEventStorage({ file: events }), { contracts: [Placed, Cancelled] })
  await store.start()
  const db = new DatabaseSync(model)
  db.exec('PRAGMA journal_mode = WAL')
  const observer = new Projections(store, new SqlReadModel(sqliteDatabase(db)), [totals({ partitions: 3 })])
  const workers = new Set<ChildProcess>()
  onTestFinished(async () => {
    for (const worker of workers) worker.kill('SIGKILL')
    await store.stop()
    db.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const start = async (): Promise<ChildProcess> => {
    const worker = fork(WORKER, [events, model, '3'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    workers.add(worker)
    await once(worker, 'message')
    return worker
  }
  const applied = async (): Promise<number> => {
    const { live, next } = await observer.status('totals')
    return (live ?? next)?.applied ?? 0
  }

  let running = [await start(), await start()]
  const expected = new Map<string, number>()
  for (let n = 0; n < EVENTS; n += 50) {
    const stream = `order-${(n / 50) % STREAMS}`
    const batch = Array.from({ length: 50 }, (_, i) => Placed.create({ total: n + i }))
    for (const { data } of batch) expected.set(stream, (expected.get(stream) ?? 0) + data.total)
    await store.append(stream, batch)
  }
  let kills = 0
  for (let goal = 400; goal < EVENTS; goal += 600) {
    while ((await applied()) < goal) await new Promise((resolve) => setTimeout(resolve, 5))
    const [victim, ...others] = running
    victim?.kill('SIGKILL')
    kills++
    running = [...others, await start()]
  }
  while ((await applied()) < EVENTS || (await observer.status('totals')).live === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(kills).toBeGreaterThan(4)
  const rows = db.prepare('SELECT stream, total, events FROM totals').all()
  expect(new Map(rows.map((row) => [row['stream'], row['total']]))).toEqual(expected)
  expect(rows.reduce((sum, row) => sum + Number(row['events']), 0)).toBe(EVENTS)
})
