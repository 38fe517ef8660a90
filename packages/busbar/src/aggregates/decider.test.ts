import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EventStore, UnknownEventError } from '../eventstore/index.ts'
import { ConfigurationError, event, typed, ValidationError } from '../message/index.ts'
import { ConcurrencyError, StreamDeletedError } from '../store/index.ts'
import { createFakeClock } from '../testing/index.ts'
import { decider } from './decider.ts'
import { AggregateEndedError, AggregateNotFoundError } from './errors.ts'
import { AddItem, item, ItemAdded, Noop, Order, Paid, Pay, storeOver } from './fixtures/orders.ts'
import { local, type Opened, storages } from '../eventstore/fixtures/storages.ts'
import { repository } from './make-repository.ts'

const at = new Date('2026-03-04T05:06:07Z')
const add = (name: string, price = 1) => AddItem.create({ name, price })
const Stray = event('Stray', typed<{ n: number }>())

describe.each(storages)('deciders over %s', (_name, open) => {
  const clock = createFakeClock()
  let opened: Opened
  let store: EventStore
  const orders = (options = {}) => repository(store, Order, { category: 'order', ...options })

  beforeEach(async () => {
    opened = await open({ clock })
    store = storeOver(opened.storage)
    await store.start()
  })
  afterEach(() => opened.close())

  test('a command is decided on the state that all events make, and what it decides is appended', async () => {
    const own = orders()
    await own.handle('1', add('pen', 2))
    const second = await own.handle('1', add('ink', 3))
    expect(second).toMatchObject({
      revision: 1,
      state: {
        total: 5,
        items: new Map([
          ['pen', 1],
          ['ink', 1],
        ]),
      },
    })
    const paid = await own.handle('1', Pay.create({ at }))
    expect(paid.events.map(({ type, data }) => [type, data])).toEqual([['Paid', { at, total: 5 }]])
    const loaded = await own.load('1')
    expect(loaded).toEqual({ state: paid.state, revision: 2, exists: true, deleted: false })
    expect((await store.getEvents('order-1')).map(({ type }) => type)).toEqual(['ItemAdded', 'ItemAdded', 'Paid'])
  })

  test('nothing decided: nothing is appended', async () => {
    const handled = await orders().handle('1', Noop.create({}))
    expect(handled).toMatchObject({ revision: -1, events: [] })
    expect((await store.info('order-1')).revision).toBe(-1)
  })

  test('one that does not exist is the initial state for load, undefined for find, an error for get', async () => {
    const own = orders()
    expect(await own.load('x')).toEqual({ state: Order.initial(), revision: -1, exists: false, deleted: false })
    expect(await own.find('x')).toBeUndefined()
    await expect(own.get('x')).rejects.toThrow(AggregateNotFoundError)
    await expect(own.get('x')).rejects.toMatchObject({ category: 'order', id: 'x', deleted: false })
    await own.handle('x', add('pen'))
    expect((await own.get('x')).total).toBe(1)
    expect((await own.find('x'))?.total).toBe(1)
  })

  test('one that was deleted is told from one that never was, and takes no command', async () => {
    const own = orders({ snapshots: { every: 1 } })
    await own.handle('1', add('pen'))
    await own.load('1')
    await own.delete('1')
    expect(await own.load('1')).toMatchObject({ exists: false, deleted: true, revision: -1 })
    await expect(own.get('1')).rejects.toThrow(/was deleted/)
    await expect(own.handle('1', add('ink'))).rejects.toThrow(StreamDeletedError)
  })

  test('an event that it does not know is an error, or is passed over if that is said', async () => {
    const own = orders()
    await own.handle('1', add('pen'))
    await store.append('order-1', Stray.create({ n: 1 }))
    await expect(own.load('1')).rejects.toThrow(UnknownEventError)
    await expect(own.handle('1', add('ink'))).rejects.toMatchObject({ type: 'Stray', stream: 'order-1', revision: 1 })
    const lenient = orders({ unknownEvents: 'ignore' })
    expect(await lenient.load('1')).toMatchObject({ revision: 1, state: { total: 1 } })
    expect((await lenient.handle('1', add('ink'))).revision).toBe(2)
  })

  test('of many who collide none loses an update: who was slower loads and decides anew', async () => {
    const own = orders({ retry: { retries: 40, maxDelay: 20 } })
    await Promise.all(Array.from({ length: 12 }, (_, n) => own.handle('1', add(`item ${n}`, n))))
    expect(await own.load('1')).toMatchObject({ revision: 11, state: { total: 66 } })
  })

  test('a conflict is decided anew on the state that the other one made; after the last retry it is the caller’s', async () => {
    let interfere = 1
    const Rival = decider({
      ...Order,
      events: [ItemAdded, Paid],
      decide: async (_command: object, { total }) => {
        if (interfere-- > 0) await store.append('order-1', item('rival', 10))
        return Paid.create({ at, total })
      },
    })
    const own = repository(store, Rival, { category: 'order', retry: { retries: 2, maxDelay: 1 } })
    expect((await own.handle('1', {})).events[0]?.data).toEqual({ at, total: 10 })
    interfere = 3
    const again = repository(store, { ...Rival, isTerminal: () => false }, { category: 'order', retry: { retries: 2 } })
    await expect(again.handle('1', {})).rejects.toThrow(ConcurrencyError)
    expect(interfere).toBe(0)
    expect((await store.getEvents('order-1')).map(({ type }) => type).filter((type) => type === 'Paid')).toHaveLength(1)
  })

  test('what the caller has expected is not tried again: another one is a conflict at once', async () => {
    const own = orders()
    await own.handle('1', add('pen'), { expected: 'none' })
    await own.handle('1', add('ink'), { expected: 0 })
    let decided = 0
    const counting = repository(
      store,
      { ...Order, decide: (...args: Parameters<typeof Order.decide>) => (decided++, Order.decide(...args)) },
      { category: 'order' },
    )
    for (const expected of ['none', 0, 7] as const) {
      await expect(counting.handle('1', add('ink'), { expected })).rejects.toThrow(ConcurrencyError)
    }
    await expect(counting.handle('2', add('ink'), { expected: 'exists' })).rejects.toThrow(/expected to exist/)
    expect(decided).toBe(0)
  })

  test('one that has come to its end takes no command', async () => {
    const own = orders()
    await own.handle('1', add('pen'))
    await own.handle('1', Pay.create({ at }))
    await expect(own.handle('1', add('ink'))).rejects.toThrow(AggregateEndedError)
    expect(await own.load('1')).toMatchObject({ revision: 1 })
  })

  test('a command that is a message is the cause of its events; metadata of the call is theirs', async () => {
    const asked = AddItem.create({ name: 'pen', price: 1 }, { userId: 'ada', correlationId: 'c' })
    await orders().handle('1', asked, { metadata: { channel: 'web' } })
    expect((await store.getEvents('order-1'))[0]?.metadata).toEqual({
      correlationId: 'c',
      causationId: asked.id,
      userId: 'ada',
      channel: 'web',
    })
  })

  test('what cannot be stored is refused, and nothing is', async () => {
    const wrong = { ...Order, decide: () => [item('pen'), ItemAdded.create({ name: 'ink', price: 'much' as never })] }
    await expect(repository(store, wrong, { category: 'order' }).handle('1', Noop.create({}))).rejects.toThrow(
      ValidationError,
    )
    const stray = { ...Order, decide: () => Stray.create({ n: 1 }) as never }
    await expect(repository(store, stray, { category: 'order' }).handle('1', Noop.create({}))).rejects.toThrow(
      /decided Stray, which is none of its events \(ItemAdded, Paid\)/,
    )
    const failing = { ...Order, decide: () => Promise.reject(new Error('no stock')) }
    await expect(repository(store, failing, { category: 'order' }).handle('1', Noop.create({}))).rejects.toThrow(
      'no stock',
    )
    expect((await store.info('order-1')).revision).toBe(-1)
  })

  test('the state after a command is the one that loading makes: with what the schema adds', async () => {
    const own = orders()
    const handled = await own.handle('1', add('pen', 5))
    expect(handled.events[0]?.data).toEqual({ name: 'pen', price: 5 })
    expect(handled.state.total).toBe(5)
    expect(handled.state).toEqual((await own.load('1')).state)
  })

  describe('time travel', () => {
    test.each([false, { every: 2 }])(
      'gives the state at a revision and at a time (snapshots: %j)',
      async (snapshots) => {
        const own = orders({ snapshots })
        for (let n = 0; n < 6; n++) {
          await clock.advance(1_000)
          await own.handle('1', add(`item ${n}`, 1))
        }
        const times: number[] = []
        for await (const { storedAt } of opened.storage.readStream('order-1')) times.push(storedAt)
        for (const [n, time] of times.entries()) {
          expect(await own.load('1', { at: n })).toMatchObject({ revision: n, state: { total: n + 1 } })
          for (const moment of [time, time - 1]) {
            // Of storages that keep their own time several events can have the same.
            const later = times.findIndex((each) => each > moment)
            const total = later === -1 ? times.length : later
            const then = await own.load('1', { at: new Date(moment) })
            expect(then).toMatchObject({ revision: total - 1, exists: total > 0, state: { total } })
          }
        }
        expect((await own.load('1', { at: 99 })).revision).toBe(5)
      },
    )

    test('to what is no moment is refused', async () => {
      for (const wrong of [-1, 1.5, new Date(Number.NaN), 'now' as never]) {
        await expect(orders().load('1', { at: wrong })).rejects.toThrow(ConfigurationError)
      }
    })
  })

  test('streams that aggregates are loaded from are not trimmed', async () => {
    const own = orders()
    await own.handle('1', add('pen'))
    await own.handle('1', add('ink'))
    await expect(store.truncateBefore('order-1', 1)).rejects.toThrow(/were not trimmed/)
    await expect(store.truncateBefore('order-1', 1, { snapshot: 1 })).rejects.toThrow(/keeps no snapshots/)
    const kept = new EventStore(opened.storage, { retention: { order: { maxAge: 1 } } })
    expect(() => repository(kept, Order, { category: 'order' })).toThrow(/has a retention/)
  })
})

test('without contracts everything is an event of the aggregate; with contracts at the store, theirs', async () => {
  const Plain = decider({
    initial: () => 0,
    decide: (n: number) => Stray.create({ n }),
    evolve: (sum, { data }: ReturnType<typeof Stray.create>) => sum + data.n,
  })
  const [, open] = local[0] as (typeof local)[number]
  const { storage } = await open()
  const free = repository(new EventStore(storage), Plain, { category: 'sum' })
  await free.handle('1', 3)
  expect((await free.handle('1', 4)).state).toBe(7)
  const bound = repository(new EventStore(storage, { contracts: [ItemAdded] }), Plain, { category: 'sum' })
  await expect(bound.load('1')).rejects.toThrow(UnknownEventError)
})

test.each([
  [{ category: 'my-order' }, /'category' must be a name without '-'/],
  [{ category: '' }, /'category'/],
  [{ category: 'order', unknownEvents: 'skip' }, /'unknownEvents' must be/],
  [{ category: 'order', retry: { retries: -1 } }, /'retries' must be/],
  [{ category: 'order', retry: { minDelay: Number.NaN } }, /'minDelay' must be/],
  [{ category: 'order', snapshots: { every: 0 } }, /'every' must be/],
  [{ category: 'order', snapshots: { version: 0.5 } }, /'version' must be/],
  [{ category: 'order', snapshots: { personal: ['a'] } }, /'personal' needs 'person'/],
])('%j is refused', async (options, message) => {
  const [, open] = local[0] as (typeof local)[number]
  const { storage } = await open()
  expect(() => repository(storeOver(storage), Order, options as never)).toThrow(message)
})

test('an id has to be a text', async () => {
  const [, open] = local[0] as (typeof local)[number]
  const own = repository(storeOver((await open()).storage), Order, { category: 'order' })
  await expect(own.load('')).rejects.toThrow(/must be a text/)
  await expect(own.handle(undefined as never, Noop.create({}))).rejects.toThrow(/must be a text/)
})
