import { describe, expect, test, vi } from 'vitest'
import { fill, opened, running } from './fixtures/running.ts'
import { Placed, shop, totals } from './fixtures/shop.ts'
import { type Projection, projection, type SqlModel, when } from './index.ts'

describe('a rebuild', () => {
  test('goes on beside the live model, which readers see whole all the time, and is shown at once when it is done', async () => {
    const store = shop()
    await fill(store, 20, 10)
    const model = opened()
    let slow = false
    const base = totals()
    const projections = await running(
      store,
      model,
      [
        totals({
          on: [
            when(Placed, async (recorded, own) => {
              if (slow) await new Promise((resolve) => setTimeout(resolve, 1))
              await base.events.get('Placed')?.apply([recorded], own)
            }),
          ],
        }),
      ],
      { batch: 20 },
    )
    await projections.caughtUp('totals')
    slow = true
    const sums = new Set<unknown>()
    const progress: number[] = []
    const state = { done: false }
    const rebuilding = projections
      .rebuild('totals', { onProgress: ({ next }) => progress.push(next?.applied ?? 0) })
      .then(() => (state.done = true))
    while (!state.done) {
      for (const row of await model.rows('SELECT COUNT(*) AS n, SUM(total) AS sum FROM totals'))
        sums.add(`${String(row['n'])} ${String(row['sum'])}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await rebuilding
    expect([...sums]).toEqual(['20 1100'])
    expect(progress.length).toBeGreaterThan(0)
    expect((await projections.status('totals')).live).toMatchObject({ build: 2, applied: 200 })
    // Nothing is left of the first build.
    expect(await model.rows(`SELECT name FROM sqlite_master WHERE name LIKE 'totals\\_\\_b1%' ESCAPE '\\'`)).toEqual([])
    await store.append('order-0', Placed.create({ total: 1_000 }))
    await projections.caughtUp('totals')
    expect((await model.rows())[0]).toMatchObject({ total: 1_055 })
  })

  test('that was cut off by a stop goes on where it was', async () => {
    const store = shop()
    await fill(store, 10, 10)
    const model = opened()
    let gate = Infinity
    let applied = 0
    const base = totals()
    const gated = (): Projection<SqlModel> =>
      totals({
        on: [
          when(Placed, async (recorded, own) => {
            if (++applied > gate) throw new Error('held')
            await base.events.get('Placed')?.apply([recorded], own)
          }),
        ],
      })
    const first = await running(store, model, [gated()], { batch: 10, retries: 1_000 })
    await first.caughtUp('totals')
    gate = applied + 50
    void first.rebuild('totals')
    await vi.waitFor(async () => expect((await first.status('totals')).next?.applied).toBe(50), { timeout: 20_000 })
    await first.stop()
    gate = Infinity
    const before = applied
    const second = await running(store, model, [gated()], { batch: 10 })
    await vi.waitFor(async () => expect((await second.status('totals')).live?.build).toBe(2), { timeout: 20_000 })
    expect(applied - before).toBe(50)
    expect(await model.rows('SELECT SUM(total) AS sum, SUM(events) AS n FROM totals')).toEqual([{ sum: 550, n: 100 }])
  })

  test('comes by itself with a new version, which may have other tables', async () => {
    const store = shop()
    await fill(store, 2, 2)
    const model = opened()
    const first = await running(store, model)
    await first.caughtUp('totals')
    await first.stop()
    const named = projection({
      name: 'totals',
      version: 2,
      tables: { order_names: 'name TEXT PRIMARY KEY' },
      on: [
        when(Placed, ({ stream }, { run, table }) =>
          run(`INSERT INTO ${table('order_names')} VALUES (?) ON CONFLICT DO NOTHING`, [stream]),
        ),
      ],
    })
    const second = await running(store, model, [named])
    await vi.waitFor(async () => expect((await second.status('totals')).live?.version).toBe(2), { timeout: 20_000 })
    expect(await model.rows('SELECT name FROM order_names ORDER BY name')).toEqual([
      { name: 'order-0' },
      { name: 'order-1' },
    ])
    await expect(model.rows()).rejects.toThrow(/no such table: totals/)
  })
})
