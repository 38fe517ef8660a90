import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SqliteEventStorage } from '../sqlite/index.ts'
import { Order, storeOver } from './fixtures/orders.ts'
import { RacerProcess } from './fixtures/racer-process.ts'
import { repository } from './make-repository.ts'

test('three processes that race for one aggregate lose no update: who was slower decides anew', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'busbar-race-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'events.db')
  const names = ['a', 'b', 'c']
  const COUNT = 25
  const racers = names.map((name) => new RacerProcess({ file, name, count: COUNT }))
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
