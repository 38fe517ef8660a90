import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type EventStore, TruncationError } from '../eventstore/index.ts'
import { event } from '../message/index.ts'
import { MemoryKeyStore, PersonalData } from '../privacy/index.ts'
import { categoryOf } from '../store/index.ts'
import { collectingLogger, createFakeClock } from '../testing/index.ts'
import { decider } from './decider.ts'
import { HistoryTrimmedError } from './errors.ts'
import { AddItem, Cart, item, Noop, Order, type OrderState, storeOver } from './fixtures/orders.ts'
import { type Opened, storages } from '../eventstore/fixtures/storages.ts'
import { repository } from './make-repository.ts'
import { MemorySnapshotStore, type SnapshotStore, type StoredSnapshot, StreamSnapshotStore } from './snapshot-store.ts'
import type { SnapshotOptions } from './snapshots.ts'

const add = (name: string, price = 1) => AddItem.create({ name, price })

describe.each(storages)('snapshots over %s', (_name, open) => {
  const clock = createFakeClock()
  let opened: Opened
  let store: EventStore
  const logger = collectingLogger()
  const orders = (snapshots: boolean | SnapshotOptions<OrderState>) =>
    repository(store, Order, { category: 'order', snapshots })

  beforeEach(async () => {
    opened = await open({ clock })
    store = storeOver(opened.storage, { logger })
    await store.start()
    logger.clear()
  })
  afterEach(() => opened.close())

  /** How many events of the aggregate a load reads. */
  async function reads(load: () => Promise<unknown>): Promise<number> {
    const { storage } = opened
    const real = storage.readStream.bind(storage)
    let count = 0
    storage.readStream = async function* (stream, options) {
      for await (const stored of real(stream, options)) {
        if (categoryOf(stream) === 'order') count++
        yield stored
      }
    }
    await load().finally(() => (storage.readStream = real))
    return count
  }

  test('a load that read enough events takes one, and the next load begins with it', async () => {
    const own = orders({ every: 10 })
    await store.append(
      'order-1',
      Array.from({ length: 25 }, (_, n) => item(`item ${n % 3}`)),
    )
    const first = await own.load('1')
    expect(await reads(() => own.load('1'))).toBe(1)
    await store.append('order-1', [item('pen'), item('ink')])
    expect(await reads(() => own.load('1'))).toBe(3)
    expect(await own.load('1')).toMatchObject({ revision: 26, state: { total: 27 } })
    expect(first.state.items).toEqual(
      new Map([
        ['item 0', 9],
        ['item 1', 8],
        ['item 2', 8],
      ]),
    )
  })

  test('a function can say when', async () => {
    const seen: unknown[] = []
    const every = (read: { events: number; revision: number; state: OrderState }): boolean => {
      seen.push([read.events, read.revision, read.state.total])
      return read.state.total > 2
    }
    const own = orders({ every })
    for (let n = 0; n < 5; n++) await own.handle('1', add('pen'))
    expect(seen).toEqual([
      [1, 0, 1],
      [2, 1, 2],
      [3, 2, 3],
      [1, 3, 4],
    ])
  })

  test('only the latest is kept, and a late older one does not replace it', async () => {
    for (const snapshots of [new StreamSnapshotStore(opened.storage), new MemorySnapshotStore()]) {
      const of = (revision: number, version = 1): StoredSnapshot => ({
        stream: 'order-9',
        revision,
        eventId: `e${revision}`,
        newest: revision,
        version,
        state: '{}',
      })
      for (const next of [of(5), of(9), of(7)]) await snapshots.save(next)
      expect(await snapshots.get('order-9')).toEqual(of(9))
      await snapshots.save(of(9, 2))
      expect(await snapshots.get('order-9')).toEqual(of(9, 2))
      await snapshots.delete('order-9')
      expect(await snapshots.get('order-9')).toBeUndefined()
    }
    expect(await store.info('snapshot-order-9')).toHaveProperty('deletedAt')
  })

  test('many who take one at the same time leave the latest', async () => {
    const snapshots = new StreamSnapshotStore(opened.storage)
    const of = (revision: number) => ({ stream: 'order-9', revision, eventId: 'e', newest: 0, version: 1, state: '{}' })
    await Promise.all([3, 1, 4, 5, 9, 2, 6].map((revision) => snapshots.save(of(revision))))
    await snapshots.save(of(10))
    await snapshots.save(of(8))
    expect((await snapshots.get('order-9'))?.revision).toBe(10)
  })

  test('one of another version is passed over, or brought up by upcasters; never misread', async () => {
    const own = orders({ every: 1 })
    for (let n = 0; n < 4; n++) await own.handle('1', add('pen'))
    await own.load('1')
    expect(await reads(() => orders({ version: 2 }).load('1'))).toBe(4)
    const upcast = { 1: (old: OrderState) => ({ ...old, total: old.total * 100 }) }
    const cents = orders({ version: 2, upcast })
    expect(await reads(async () => expect((await cents.load('1')).state.total).toBe(400))).toBe(1)
    // And the newer one is passed over by a program that does not know it yet.
    await orders({ version: 2, every: 1 }).load('1')
    expect(await own.load('1')).toMatchObject({ state: { total: 4 } })
  })

  test('one of another history, one that is broken and a store that fails are passed over', async () => {
    for (let n = 0; n < 3; n++) await store.append('order-1', item('pen'))
    const kept = new MemorySnapshotStore()
    const lie = { stream: 'order-1', revision: 1, eventId: 'another', newest: 0, version: 1, state: '{"total":99}' }
    const failing: SnapshotStore = {
      get: () => Promise.reject(new Error('down')),
      save: () => Promise.reject(new Error('down')),
      delete: () => Promise.resolve(),
    }
    await kept.save(lie)
    expect(await orders({ store: kept }).load('1')).toMatchObject({ revision: 2, state: { total: 3 } })
    await kept.save({ ...lie, revision: 7 })
    expect(await orders({ store: kept }).load('1')).toMatchObject({ revision: 2, state: { total: 3 } })
    await kept.delete('order-1')
    await kept.save({ ...lie, state: '{"total":' })
    expect(await orders({ store: kept }).load('1')).toMatchObject({ revision: 2, state: { total: 3 } })
    expect(await orders({ store: failing, every: 1 }).load('1')).toMatchObject({ revision: 2, state: { total: 3 } })
    expect(logger.lines('warn').map(({ text }) => text)).toEqual([
      'a snapshot cannot be read; all events are read instead',
      'a snapshot cannot be read; all events are read instead',
      'a snapshot cannot be taken; loading goes on without',
    ])
  })

  test('a state that cannot be kept costs the snapshot, not the load', async () => {
    const Odd = { ...Order, initial: () => ({ ...Order.initial(), call: () => {} }) }
    const own = repository(store, Odd as typeof Order, { category: 'order', snapshots: { every: 1 } })
    await own.handle('1', add('pen'))
    expect(await own.load('1')).toMatchObject({ revision: 0, state: { total: 1 } })
    expect(logger.lines('warn')).toHaveLength(1)
  })

  test('a deleted aggregate is gone, also with a snapshot that is left', async () => {
    const own = orders({ every: 1 })
    await own.handle('1', add('pen'))
    await own.load('1')
    await store.deleteStream('order-1')
    expect(await own.load('1')).toMatchObject({ exists: false, deleted: true })
  })

  describe('trimming', () => {
    test('forgets what is behind a snapshot, and loading is as before; the past before it is an error', async () => {
      const own = orders(true)
      for (let n = 0; n < 6; n++) await own.handle('1', add('pen'))
      const before = await own.load('1')
      expect(await own.trim('1')).toBe(5)
      expect(await own.load('1')).toEqual(before)
      await own.handle('1', add('ink'))
      expect(await own.load('1')).toMatchObject({ revision: 6, state: { total: 7 } })
      expect(await own.load('1', { at: 5 })).toMatchObject({ revision: 5, state: { total: 6 } })
      await expect(own.load('1', { at: 3 })).rejects.toThrow(HistoryTrimmedError)
      await expect(own.load('1', { at: new Date(0) })).rejects.toThrow(HistoryTrimmedError)
      await expect(orders({ version: 2 }).load('1')).rejects.toThrow(/upcasters/)
      await expect(repository(store, Order, { category: 'order' }).load('1')).rejects.toThrow(HistoryTrimmedError)
    })

    test('is refused without a snapshot that is really there', async () => {
      const own = orders(true)
      for (let n = 0; n < 3; n++) await own.handle('1', add('pen'))
      await expect(store.truncateBefore('order-1', 2, { snapshot: 2 })).rejects.toThrow(TruncationError)
      expect(await own.takeSnapshot('1')).toBe(2)
      expect(await store.truncateBefore('order-1', 3, { snapshot: 2 })).toBe(3)
      expect(await own.load('1')).toMatchObject({ revision: 2, exists: true, state: { total: 3 } })
      expect(await own.handle('1', add('ink'))).toMatchObject({ revision: 3, state: { total: 4 } })
      expect(await own.trim('none')).toBe(0)
      await expect(repository(store, Order, { category: 'order' }).trim('1')).rejects.toThrow(/has no snapshots/)
    })

    test('by somebody else in the middle of a load gives the right state', async () => {
      const own = orders(true)
      for (let n = 0; n < 4; n++) await own.handle('1', add('pen'))
      const { storage } = opened
      const real = storage.readStream.bind(storage)
      let trimmed = false
      storage.readStream = async function* (stream, options) {
        if (stream === 'order-1' && !trimmed) {
          trimmed = true
          await own.trim('1')
        }
        yield* real(stream, options)
      }
      expect(await own.load('1')).toMatchObject({ revision: 3, state: { total: 4 } })
      expect((await store.info('order-1')).first).toBe(3)
    })
  })

  test('personal data is not kept in the clear: a snapshot that would do so is refused, or encrypted', async () => {
    const Joined = event('Joined', z.object({ id: z.string(), email: z.string() }), {
      personal: { email: 'nobody@invalid' },
      person: ({ id }) => id,
    })
    const Member = decider({
      events: [Joined],
      initial: () => ({ id: '', email: '', joins: 0 }),
      decide: (email: string) => Joined.create({ id: 'ada', email }),
      evolve: (state, { data }) => ({ ...data, joins: state.joins + 1 }),
    })
    const privacy = new PersonalData({ keys: new MemoryKeyStore(), cacheFor: 0 })
    const secret = storeOver(opened.storage, { privacy, logger })
    const members = (snapshots: boolean | SnapshotOptions<{ id: string }>) =>
      repository(secret, Member, { category: 'member', snapshots })
    expect(() => members(true)).toThrow(/Joined has personal data.*in the clear/)
    const own = members({ personal: ['email'], person: ({ id }) => id, every: 1 })
    await own.handle('1', 'ada@example.org')
    await own.load('1')
    for await (const { message } of opened.storage.readStream('snapshot-member-1')) {
      expect(JSON.stringify(message.body)).toMatch(/joins/)
      expect(JSON.stringify(message.body)).not.toMatch(/example\.org/)
    }
    expect((await own.load('1')).state).toEqual({ id: 'ada', email: 'ada@example.org', joins: 1 })
    await privacy.forget('ada')
    expect((await own.load('1')).state).toEqual({ id: 'ada', email: 'nobody@invalid', joins: 1 })
    // That none is taken of somebody who was forgotten is as it should be, and nobody is warned of it.
    expect(await own.takeSnapshot('1')).toBeUndefined()
    expect(logger.lines('warn')).toEqual([])
  })

  test('whatever happened, and however snapshots were taken, a load is what a full replay makes', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ add: fc.constantFrom('a', 'b', 'c'), price: fc.integer({ min: 0, max: 9 }) }),
      },
      { weight: 2, arbitrary: fc.constant('load' as const) },
      { weight: 1, arbitrary: fc.constant('snapshot' as const) },
      { weight: 1, arbitrary: fc.constant('tick' as const) },
      { weight: 1, arbitrary: fc.constant('trim' as const) },
    )
    let run = 0
    const [memory, ofCarts] = [new MemorySnapshotStore(), new MemorySnapshotStore()]
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(40),
        fc.boolean(),
        async (steps, every, at, inMemory) => {
          const id = `p${++run}`
          const own = orders({ every, ...(inMemory ? { store: memory } : {}) })
          const carts = repository(store, Cart, { category: 'order', snapshots: { every, store: ofCarts } })
          const history: OrderState[] = []
          let state = Order.initial()
          for (const each of steps) {
            if (each === 'load') await own.load(id)
            else if (each === 'snapshot') await own.takeSnapshot(id)
            else if (each === 'tick') await clock.advance(1_000)
            else if (each === 'trim') {
              // Everybody who loads from the stream needs one.
              for (const each of [orders({}), orders({ store: memory }), carts]) await each.takeSnapshot(id)
              await own.trim(id)
            } else {
              const { name, price } = { name: each.add, price: each.price }
              await own.handle(id, add(name, price))
              const [happened] = (await store.prepare('x-1', [item(name, price)])).events
              state = Order.evolve(state, happened as never)
              history.push(state)
            }
          }
          const loaded = await own.load(id)
          expect(loaded.state).toEqual(state)
          expect(loaded.revision).toBe(history.length - 1)
          const cart = (await carts.load(id)).state
          expect([cart.total, cart.items, cart.revision]).toEqual([state.total, state.items, history.length - 1])
          if ((await store.info(`order-${id}`)).first === 0) {
            const revision = Math.min(at, history.length - 1)
            expect((await own.load(id, { at })).state).toEqual(history[revision] ?? Order.initial())
            const times: number[] = []
            for await (const { storedAt } of opened.storage.readStream(`order-${id}`)) times.push(storedAt)
            const time = (times[revision] ?? clock.now()) - (at % 2)
            const later = times.findIndex((each) => each > time)
            const then = history[(later === -1 ? times.length : later) - 1] ?? Order.initial()
            expect((await own.load(id, { at: new Date(time) })).state).toEqual(then)
          }
        },
      ),
      { numRuns: 40 },
    )
  })

  test('nothing decided on a loaded snapshot changes nothing', async () => {
    const own = orders({ every: 1 })
    await own.handle('1', add('pen'))
    expect(await own.handle('1', Noop.create({}))).toMatchObject({ revision: 0, events: [], state: { total: 1 } })
  })
})
