import { expect, test, vi } from 'vitest'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { pgDatabase } from '../transaction/database.ts'
import { Placed, shop, totals } from './fixtures/shop.ts'
import { Projections, SqlReadModel, whenMany } from './index.ts'

const { name: schema, pool } = postgresSchema()
const options = { pollInterval: 20, retries: 1, logger: { warn: () => {}, error: () => {} } }

test('read models in Postgres: applied once by several, shown whole, rebuilt beside the live one', async () => {
  const store = shop()
  for (let i = 0; i < 20; i++)
    await store.append(
      `order-${i}`,
      [1, 2, 3].map((total) => Placed.create({ total })),
    )
  const make = (): Projections<never> =>
    new Projections(store, new SqlReadModel(pgDatabase(pool)), [totals({ partitions: 4 })], options) as never
  const [one, two] = [make(), make()]
  // At once: tables, build and claims are each made by one of them.
  await Promise.all([one.start(), two.start()])
  try {
    await two.caughtUp('totals', { timeout: 30_000 })
    const sums = async (): Promise<unknown> =>
      (await pool.query('SELECT COUNT(*)::int AS n, SUM(total)::int AS sum, SUM(events)::int AS events FROM totals'))
        .rows[0]
    expect(await sums()).toEqual({ n: 20, sum: 120, events: 60 })
    const seen = new Set<string>()
    const state = { done: false }
    const rebuilding = one.rebuild('totals').then(() => (state.done = true))
    while (!state.done) seen.add(JSON.stringify(await sums()))
    await rebuilding
    expect([...seen]).toEqual([JSON.stringify({ n: 20, sum: 120, events: 60 })])
    await vi.waitFor(async () => expect((await two.status('totals')).live?.build).toBe(2), { timeout: 30_000 })
    await one.stop()
    await store.append('order-0', Placed.create({ total: 100 }))
    await two.caughtUp('totals', { timeout: 30_000 })
    expect(await sums()).toEqual({ n: 20, sum: 220, events: 61 })
    const { rows } = await pool.query(
      `SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'totals%'`,
      [schema],
    )
    expect(rows).toEqual([{ tablename: 'totals__b2' }])
  } finally {
    await Promise.all([one.stop(), two.stop()])
  }
})

test('many events with one statement; a pause holds up who still has the claim', async () => {
  const store = shop()
  for (let i = 0; i < 20; i++)
    await store.append(
      `order-${i}`,
      [1, 2, 3].map((total) => Placed.create({ total })),
    )
  const calls: number[] = []
  const projection = totals({
    name: 'many',
    tables: { many: 'stream TEXT NOT NULL, total INTEGER NOT NULL' },
    on: [
      whenMany(Placed, (all, { run, table }) => {
        calls.push(all.length)
        const rows = all.map(({ stream, event: { data } }) => [stream, data.total])
        return run(`INSERT INTO ${table('many')} VALUES ${rows.map(() => '(?, ?)').join(', ')}`, rows.flat())
      }),
    ],
  })
  const projections = new Projections(store, new SqlReadModel(pgDatabase(pool)), [projection], options)
  await projections.start()
  try {
    await projections.caughtUp('many', { timeout: 30_000 })
    expect(calls).toEqual([60])
    await projections.pause('many')
    await store.append('order-0', Placed.create({ total: 1_000 }))
    await expect(projections.caughtUp('many', { timeout: 200 })).rejects.toThrow(/has not caught up/)
    expect(calls).toEqual([60])
    await projections.resume('many')
    await projections.caughtUp('many', { timeout: 30_000 })
    const { rows } = await pool.query('SELECT COUNT(*)::int AS n, SUM(total)::int AS sum FROM many')
    expect(rows).toEqual([{ n: 61, sum: 1_120 }])
  } finally {
    await projections.stop()
  }
})
