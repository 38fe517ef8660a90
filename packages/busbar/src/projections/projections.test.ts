import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { event } from '../message/index.ts'
import { closing, fill, opened, quick, running } from './fixtures/running.ts'
import { Cancelled, Placed, shop, totals } from './fixtures/shop.ts'
import {
  type MemoryModel,
  MemoryReadModel,
  type Projection,
  projection,
  ProjectionChangedError,
  Projections,
  type SqlModel,
  UnknownProjectionError,
  when,
} from './index.ts'

describe('a projection', () => {
  test('applies what is there and what comes, once each', async () => {
    const store = shop()
    await fill(store, 3, 4)
    const model = opened()
    const projections = await running(store, model)
    await projections.caughtUp('totals')
    await store.append('order-0', Cancelled.create({}))
    await projections.caughtUp('totals')
    expect(await model.rows()).toEqual([
      { stream: 'order-0', total: 10, events: 5 },
      { stream: 'order-1', total: 10, events: 4 },
      { stream: 'order-2', total: 10, events: 4 },
    ])
    const status = await projections.status('totals')
    expect(status).toMatchObject({
      state: 'live',
      live: { build: 1, version: 1, applied: 13, lag: 0 },
      next: undefined,
    })
  })

  test('goes on where it was after a restart, and applies nothing again', async () => {
    const store = shop()
    await fill(store, 2, 3)
    const model = opened()
    const first = await running(store, model)
    await first.caughtUp('totals')
    await first.stop()
    await store.append('order-0', Placed.create({ total: 100 }))
    const second = await running(store, model)
    await second.caughtUp('totals')
    expect(await model.rows()).toEqual([
      { stream: 'order-0', total: 106, events: 4 },
      { stream: 'order-1', total: 6, events: 3 },
    ])
    expect((await second.status('totals')).live?.applied).toBe(7)
  })

  test('takes only the categories that it names, and passes over types that it does not handle', async () => {
    const store = shop()
    const Other = event('Other', z.object({}))
    await store.append('order-1', [Placed.create({ total: 1 }), Other.create({})])
    await store.append('refund-1', Placed.create({ total: 1 }))
    const model = opened()
    const projections = await running(store, model, [totals({ categories: ['order'] })])
    await projections.caughtUp('totals')
    expect((await model.rows()).map(({ stream }) => stream)).toEqual(['order-1'])
  })

  test('in memory works the same, and takes back what a failed batch has changed', async () => {
    const store = shop()
    await fill(store, 2, 3)
    const model = new MemoryReadModel()
    let failures = 2
    const counts = projection<MemoryModel>({
      name: 'counts',
      on: [
        when<typeof Placed, MemoryModel>(Placed, ({ stream, revision }, { collection }) => {
          const counted = collection<{ n: number }>('counts')
          const kept = counted.get(stream) ?? { n: 0 }
          kept.n++
          counted.set(stream, kept)
          if (stream === 'order-1' && revision === 1 && failures-- > 0) throw new Error('not now')
        }),
      ],
    })
    const projections = new Projections(store, model, [counts], { ...quick, retries: 3 })
    closing.push(() => projections.stop())
    await projections.start()
    await projections.caughtUp('counts')
    expect(model.read('counts', 'counts').entries()).toEqual([
      ['order-0', { n: 3 }],
      ['order-1', { n: 3 }],
    ])
  })
})

describe('an event that cannot be applied', () => {
  function picky(broken: () => boolean): Projection<SqlModel> {
    const base = totals()
    return totals({
      on: [
        when(Placed, async (recorded, model) => {
          await base.events.get('Placed')?.apply([recorded], model)
          if (recorded.stream === 'order-1' && recorded.revision === 1 && broken())
            throw new TypeError('no such customer')
        }),
      ],
    })
  }

  test('stops its projection before it, with its place and error; the others go on, and resume tries it again', async () => {
    const store = shop()
    await fill(store, 2, 3)
    const model = opened()
    let broken = true
    const healthy = projection({
      name: 'seen',
      tables: { seen: 'stream TEXT, revision INTEGER' },
      on: [
        when(Placed, ({ stream, revision }, { run, table }) =>
          run(`INSERT INTO ${table('seen')} VALUES (?, ?)`, [stream, revision]),
        ),
      ],
    })
    const projections = await running(store, model, [picky(() => broken), healthy])
    await projections.caughtUp('seen')
    await vi.waitFor(async () => expect((await projections.status('totals')).state).toBe('failed'), { timeout: 20_000 })
    const { live, next } = await projections.status('totals')
    expect(live).toBeUndefined()
    expect(next?.poison).toMatchObject({
      stream: 'order-1',
      revision: 1,
      type: 'Placed',
      error: 'TypeError: no such customer',
    })
    // All before it is in the model, and nothing of it; nobody is shown it.
    await expect(model.rows()).rejects.toThrow(/no such table/)
    expect(await model.rows('SELECT stream, total, events FROM totals__b1 ORDER BY stream')).toEqual([
      { stream: 'order-0', total: 6, events: 3 },
      { stream: 'order-1', total: 1, events: 1 },
    ])
    await expect(projections.caughtUp('totals', { timeout: 50 })).rejects.toThrow(
      /revision 1 of 'order-1'.*no such customer/,
    )
    broken = false
    await projections.resume('totals')
    await projections.caughtUp('totals')
    expect((await model.rows())[1]).toEqual({ stream: 'order-1', total: 6, events: 3 })
    expect((await projections.status('totals')).state).toBe('live')
  })

  test('is passed over and kept, where the policy says so', async () => {
    const store = shop()
    await fill(store, 2, 3)
    const model = opened()
    const projections = await running(store, model, [picky(() => true)], { onPoison: 'skip' })
    await projections.caughtUp('totals')
    expect((await model.rows())[1]).toEqual({ stream: 'order-1', total: 4, events: 2 })
    expect(await projections.skipped('totals')).toMatchObject([
      { stream: 'order-1', revision: 1, error: 'TypeError: no such customer' },
    ])
    expect((await projections.status('totals')).live).toMatchObject({ applied: 5, lag: 0 })
  })

  test('may also be one that cannot be read', async () => {
    const store = shop()
    await store.append('order-1', Placed.create({ total: 1 }))
    const Loose = event('Placed', z.object({ total: z.string() }))
    const { EventStore: Store } = await import('../eventstore/index.ts')
    await new Store(store.storage, { contracts: [Loose] }).append('order-1', Loose.create({ total: 'much' }))
    await store.append('order-1', Placed.create({ total: 2 }))
    const model = opened()
    const projections = await running(store, model)
    await vi.waitFor(async () => expect((await projections.status('totals')).state).toBe('failed'), { timeout: 20_000 })
    const { next } = await projections.status('totals')
    expect(next?.poison).toMatchObject({ revision: 1, type: 'Placed' })
    expect(next?.poison?.error).toMatch(/^UnreadableEventError/)
    expect(await model.rows('SELECT stream, total, events FROM totals__b1')).toEqual([
      { stream: 'order-1', total: 1, events: 1 },
    ])
  })
})

describe('pause', () => {
  test('holds it up, also over a restart, until resume', async () => {
    const store = shop()
    await fill(store, 1, 1)
    const model = opened()
    const first = await running(store, model)
    await first.caughtUp('totals')
    await first.pause('totals')
    expect((await first.status('totals')).state).toBe('paused')
    await first.stop()
    await store.append('order-0', Placed.create({ total: 5 }))
    const second = await running(store, model)
    await expect(second.caughtUp('totals', { timeout: 100 })).rejects.toThrow(/has not caught up within 100 ms/)
    expect((await second.status('totals')).live?.lag).toBe(1)
    await second.resume('totals')
    await second.caughtUp('totals')
    expect(await model.rows()).toEqual([{ stream: 'order-0', total: 6, events: 2 }])
  })
})

describe('a definition', () => {
  test('that changed under the same version is refused, and so is an older one', async () => {
    const store = shop()
    const model = opened()
    const first = await running(store, model)
    await first.caughtUp('totals')
    await first.stop()
    await expect(running(store, model, [totals({ tables: { totals: 'stream TEXT' } })])).rejects.toThrow(
      /declare it as version 2/,
    )
    const second = await running(store, model, [totals({ version: 2 })])
    await vi.waitFor(async () => expect((await second.status('totals')).live?.version).toBe(2), { timeout: 20_000 })
    await second.stop()
    await expect(running(store, model)).rejects.toThrow(ProjectionChangedError)
    await expect(running(store, model)).rejects.toThrow(/older than the one that built it/)
  })

  test('that makes no sense is refused with what would', async () => {
    const store = shop()
    const { model } = opened()
    expect(() => totals({ name: 'a b' })).toThrow(/1 to 60 letters/)
    expect(() => totals({ version: 0 })).toThrow(/version is a whole number from 1, not 0/)
    expect(() => totals({ partitions: 1.5 })).toThrow(/partitions is a whole number/)
    expect(() => totals({ on: [] })).toThrow(/handles no event/)
    expect(() => totals({ on: [when(Placed, () => {}), when(Placed, () => {})] })).toThrow(/handles Placed twice/)
    expect(() => totals({ tables: { 'a"b': 'x TEXT' } })).toThrow(/table's name/)
    expect(() => new Projections(store, model, [totals(), totals()])).toThrow(/two projections have the name 'totals'/)
    expect(() => new Projections(store, model, [totals()], { batch: 0 })).toThrow(/'batch'.*from 1/)
    expect(() => new Projections(store, model, [], { onPoison: 'x' as never })).toThrow(/'stop' or 'skip'/)
    await expect(
      running(store, { model, rows: async () => [] }, [totals({ tables: { totals: 'no brackets)' } })]),
    ).rejects.toThrow(/table 'totals' cannot be made/)
    expect(() => new Projections(store, model, [totals()]).status('other')).toThrow(UnknownProjectionError)
  })

  test('whose handler names a table that it does not declare is told so', async () => {
    const store = shop()
    await fill(store, 1, 1)
    const wrong = totals({ on: [when(Placed, (_, { run, table }) => run(`DELETE FROM ${table('users')}`))] })
    const projections = await running(store, opened(), [wrong])
    await vi.waitFor(async () => expect((await projections.status('totals')).state).toBe('failed'), { timeout: 20_000 })
    expect((await projections.status('totals')).next?.poison?.error).toMatch(
      /declares no table 'users'; it has: totals/,
    )
  })
})

describe('several that run the same projection', () => {
  test('share its partitions, and the work of one that leaves goes to the others', async () => {
    const store = shop()
    const model = opened()
    const partitioned = (): Projection<SqlModel> => totals({ partitions: 4 })
    const [one, two] = [await running(store, model, [partitioned()]), await running(store, model, [partitioned()])]
    const owners = async (): Promise<number[]> => {
      const { live } = await two.status('totals')
      const counts = new Map<string, number>()
      for (const { owner = 'nobody' } of live?.partitions ?? []) counts.set(owner, (counts.get(owner) ?? 0) + 1)
      return [...counts.values()]
    }
    await vi.waitFor(async () => expect(await owners()).toEqual([2, 2]), { timeout: 20_000 })
    await fill(store, 30, 3)
    await two.caughtUp('totals')
    expect(await model.rows('SELECT COUNT(*) AS n, SUM(events) AS events FROM totals')).toEqual([{ n: 30, events: 90 }])
    await one.stop()
    await fill(store, 30, 1)
    await two.caughtUp('totals')
    await vi.waitFor(async () => expect(await owners()).toEqual([4]), { timeout: 20_000 })
    expect(await model.rows('SELECT SUM(events) AS events FROM totals')).toEqual([{ events: 120 }])
  })
})
