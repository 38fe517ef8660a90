import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { sqliteDialect } from './dialect.ts'
import { WorkerProcess } from './fixtures/processes.ts'
import { collect, eventually, outgoing, scratchFile, started } from './fixtures/scratch.ts'

test('eight processes start on a new file at once: one makes the tables, all go on', async () => {
  const file = scratchFile()
  const workers = Array.from({ length: 8 }, () => new WorkerProcess({ file, do: 'start' }))
  await Promise.all(workers.map((worker) => worker.reported('ready')))
  await Promise.all(workers.map((worker) => worker.gone()))
  const database = new DatabaseSync(file)
  expect(database.prepare(`SELECT value FROM busbar_meta WHERE name = 'schema'`).all()).toEqual([
    { value: String(sqliteDialect.migrations.length) },
  ])
  database.close()
})

test('with publishers in several processes no message is skipped and none comes twice, in order of each key', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  const { deliveries } = await collect(broker, { prefetch: 100 })
  const names = ['a', 'b', 'c']
  const workers = names.map((name) => new WorkerProcess({ file, do: 'publish', publish: 300, name }))
  await Promise.all(workers.map((worker) => worker.reported('ready')))
  await eventually(() => deliveries.length >= 900, '900 deliveries')
  expect(new Set(deliveries.map((one) => one.message.id)).size).toBe(900)
  expect(deliveries.length).toBe(900)
  const next = new Map<string, number>()
  for (const { message } of deliveries) {
    const key = message.key ?? ''
    expect(Number(message.body)).toBe(next.get(key) ?? 0)
    next.set(key, Number(message.body) + 1)
  }
})

test('a publisher killed with -9: what was confirmed is there', async () => {
  const file = scratchFile()
  const worker = new WorkerProcess({ file, do: 'publish', publish: 100_000, name: 'p' })
  await worker.reported('published', 200)
  await worker.kill()
  const broker = await started({ file })
  const { deliveries } = await collect(broker, { prefetch: 1_000 })
  const confirmed = worker.of('published').map((report) => report.body)
  const have = (): Set<string> => new Set(deliveries.map((one) => one.message.id))
  const lost = (): unknown[] => confirmed.filter((id) => !have().has(String(id)))
  await eventually(() => lost().length === 0, `${confirmed.length} confirmed messages`)
  expect(deliveries.length).toBe(have().size)
})

test('one publish after another leaves timers their turn', async () => {
  const broker = await started({ file: scratchFile() })
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const begun = performance.now()
  let published = 0
  for (; performance.now() - begun < 300; published++) await broker.publish([outgoing()])
  clearInterval(timer)
  expect(published).toBeGreaterThan(10)
  expect(turns).toBeGreaterThan(3)
})
