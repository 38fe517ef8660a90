import { expect, expectTypeOf, test, vi } from 'vitest'
import type { KnownEvent } from '../eventstore/index.ts'
import { definitionOf, event } from '../message/index.ts'
import { z } from 'zod'
import { fill, opened, quick, running } from './fixtures/running.ts'
import { Cancelled, Placed, shop, totals } from './fixtures/shop.ts'
import { type Projection, type ProjectionsOptions, type SqlModel, when, whenMany } from './index.ts'

const Shipped = event('Shipped', z.object({ by: z.string() }))

/** All sums of a batch in one statement. */
function summed(calls: number[], broken: (all: readonly KnownEvent[]) => boolean = () => false): Projection<SqlModel> {
  return totals({
    on: [
      whenMany([Placed, Cancelled], (all, { run, table }) => {
        calls.push(all.length)
        if (broken(all)) throw new TypeError('no such customer')
        const sums = new Map<string, [number, number]>()
        for (const { stream, event: each } of all) {
          const [total, count] = sums.get(stream) ?? [0, 0]
          sums.set(stream, [total + (each.type === 'Placed' ? each.data.total : 0), count + 1])
        }
        return run(
          `INSERT INTO ${table('totals')} AS t (stream, total, events) VALUES ${[...sums].map(() => '(?, ?, ?)').join(', ')}
           ON CONFLICT (stream) DO UPDATE SET total = t.total + excluded.total, events = t.events + excluded.events`,
          [...sums].flatMap(([stream, [total, count]]) => [stream, total, count]),
        )
      }),
    ],
  })
}

const warnings = (): { readonly told: string[]; readonly options: ProjectionsOptions } => {
  const told: string[] = []
  return { told, options: { logger: { warn: (_, text) => told.push(text), error: () => {} } } }
}

test('events that follow each other come together, in their order', async () => {
  const store = shop()
  await fill(store, 3, 4)
  await store.append('order-0', Cancelled.create({}))
  const model = opened()
  const calls: number[] = []
  const projections = await running(store, model, [summed(calls)], { batch: 10 })
  await projections.caughtUp('totals')
  expect(calls).toEqual([10, 3])
  expect(await model.rows()).toEqual([
    { stream: 'order-0', total: 10, events: 5 },
    { stream: 'order-1', total: 10, events: 4 },
    { stream: 'order-2', total: 10, events: 4 },
  ])
  expect((await projections.status('totals')).live).toMatchObject({ applied: 13, lag: 0 })
})

test('an event of another handler comes between them', async () => {
  const store = shop()
  await store.append('order-1', [Placed.create({ total: 1 }), Placed.create({ total: 2 })])
  await store.append('order-1', [Shipped.create({ by: 'sea' }), Placed.create({ total: 3 })])
  const seen: string[] = []
  const projection = totals({
    on: [
      whenMany(Placed, (all) => void seen.push(all.map(({ event: { data } }) => data.total).join('+'))),
      when(Shipped, ({ event: { data } }) => void seen.push(data.by)),
    ],
  })
  const projections = await running(store, opened(), [projection])
  await projections.caughtUp('totals')
  expect(seen).toEqual(['1+2', 'sea', '3'])
})

test('one that cannot be applied is found among them, and nothing of it is in the model', async () => {
  const store = shop()
  await fill(store, 2, 5)
  const model = opened()
  const { told, options } = warnings()
  let broken = true
  const projection = summed([], (all) => broken && all.some((one) => one.stream === 'order-1' && one.revision === 2))
  const projections = await running(store, model, [projection], options)
  await vi.waitFor(async () => expect((await projections.status('totals')).state).toBe('failed'), { timeout: 20_000 })
  expect((await projections.status('totals')).next?.poison).toMatchObject({ stream: 'order-1', revision: 2 })
  expect(await model.rows('SELECT stream, total, events FROM totals__b1 ORDER BY stream')).toEqual([
    { stream: 'order-0', total: 15, events: 5 },
    { stream: 'order-1', total: 3, events: 2 },
  ])
  expect(told).toContain("projection 'totals' cannot apply 10 events together: applying them one by one")
  broken = false
  await projections.resume('totals')
  await projections.caughtUp('totals')
  expect(await model.rows()).toMatchObject([{ total: 15 }, { total: 15 }])
})

test('one that cannot be applied is passed over alone, where the policy says so', async () => {
  const store = shop()
  await fill(store, 2, 5)
  const model = opened()
  const projection = summed([], (all) => all.some((one) => one.stream === 'order-1' && one.revision === 2))
  const projections = await running(store, model, [projection], { ...warnings().options, onPoison: 'skip' })
  await projections.caughtUp('totals')
  expect(await model.rows()).toMatchObject([
    { total: 15, events: 5 },
    { total: 12, events: 4 },
  ])
  expect(await projections.skipped('totals')).toMatchObject([{ stream: 'order-1', revision: 2 }])
})

test('a handler that fails only for many gets them one by one, once each', async () => {
  const store = shop()
  await fill(store, 2, 5)
  const model = opened()
  const { told, options } = warnings()
  const projections = await running(store, model, [summed([], (all) => all.length > 1)], options)
  await projections.caughtUp('totals')
  expect(await model.rows()).toMatchObject([
    { total: 15, events: 5 },
    { total: 15, events: 5 },
  ])
  expect((await projections.status('totals')).live?.applied).toBe(10)
  expect(told.length).toBeGreaterThan(0)
})

test('a pause holds up a runner that has the claim and has read ahead', async () => {
  const store = shop()
  await fill(store, 1, 40)
  const model = opened()
  let pause: (() => Promise<void>) | undefined
  const calls: number[] = []
  const projection = totals({
    on: [
      whenMany(Placed, async (all) => {
        calls.push(all.length)
        await pause?.()
      }),
    ],
  })
  let paused: Promise<void> | undefined
  pause = async () => {
    // Waits for this very step to end, so it must not be waited for here.
    paused ??= held.pause('totals')
  }
  const held = await running(store, model, [projection], { ...quick, batch: 10 })
  await vi.waitFor(() => expect(paused).toBeDefined(), { timeout: 20_000 })
  await paused
  const after = calls.length
  await expect(held.caughtUp('totals', { timeout: 200 })).rejects.toThrow(/has not caught up/)
  expect(calls.length).toBe(after)
  pause = undefined
  await held.resume('totals')
  await held.caughtUp('totals')
  expect(calls.reduce((sum, one) => sum + one, 0)).toBe(40)
})

test('handlers are typed by their contracts', () => {
  whenMany([Placed, Shipped], (all) => {
    for (const { event: each } of all) {
      if (each.type === 'Placed') expectTypeOf(each.data).toEqualTypeOf<{ total: number }>()
      else expectTypeOf(each.data).toEqualTypeOf<{ by: string }>()
    }
  })
  const { contracts, many } = whenMany(Placed, (all) => {
    expectTypeOf(all[0]!.event.data.total).toEqualTypeOf<number>()
  })
  expect([contracts.map((one) => definitionOf(one).type), many]).toEqual([['Placed'], true])
})
