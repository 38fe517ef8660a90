import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type EventOf, EventStore, UnknownEventError } from '../eventstore/index.ts'
import { command, DomainEvent, event, typed, ValidationError } from '../message/index.ts'
import { ConcurrencyError } from '../store/index.ts'
import { AggregateRoot } from './aggregate-root.ts'
import { Cart, ItemAdded, item, storeOver } from './fixtures/orders.ts'
import { local, type Opened, storages } from '../eventstore/fixtures/storages.ts'
import { repository } from './make-repository.ts'

const at = new Date('2026-03-04T05:06:07Z')

describe.each(storages)('aggregates that are classes, over %s', (_name, open) => {
  let opened: Opened
  let store: EventStore
  const carts = (options = {}) => repository(store, Cart, { category: 'cart', ...options })

  beforeEach(async () => {
    opened = await open()
    store = storeOver(opened.storage)
    await store.start()
  })
  afterEach(() => opened.close())

  test('what happens to a new one is uncommitted until it is saved, and is there when it is loaded', async () => {
    const own = carts()
    const cart = own.create('1')
    cart.add('pen', 2)
    cart.add('ink', 3)
    expect([cart.total, cart.revision, cart.uncommittedEvents.length]).toEqual([5, 1, 2])
    await own.save(cart)
    expect([cart.revision, cart.uncommittedEvents.length]).toEqual([1, 0])
    const loaded = await own.get('1')
    expect([loaded.id, loaded.total, loaded.revision, loaded.uncommittedEvents]).toEqual(['1', 5, 1, []])
    loaded.pay(at)
    expect(await own.save(loaded)).toMatchObject({ revision: 2, events: [{ type: 'Paid' }] })
    expect((await own.get('1')).paidAt).toEqual(at)
  })

  test('a new event is seen as the store will give it, also where no schema checks it', async () => {
    const Noted = event('Noted', typed<{ at: Date; tags: string[] }>())
    class Note extends AggregateRoot<EventOf<typeof Noted>> {
      seen: unknown
      constructor(id: string) {
        super(id)
        this.when(Noted, ({ data }) => {
          this.seen = data
        })
      }
      write(data: { at: Date; tags: string[] }): void {
        this.apply(Noted.create(data))
      }
    }
    const notes = repository(store, Note, { category: 'note' })
    const data = { at, tags: ['a'] }
    const { state } = await notes.handle('1', (note) => note.write(data))
    data.tags.push('b')
    expect(state.seen).toEqual({ at: at.toISOString(), tags: ['a'] })
    expect((await notes.get('1')).seen).toEqual(state.seen)
    const impossible = { at, tags: [1n as unknown as string] }
    await expect(notes.handle('1', (note) => note.write(impossible))).rejects.toThrow(/BigInt/)
  })

  test('saving one to which nothing has happened writes nothing', async () => {
    const own = carts()
    expect(await own.save(own.create('1'))).toMatchObject({ revision: -1, events: [] })
    expect((await store.info('cart-1')).revision).toBe(-1)
  })

  test('a save behind somebody else’s is a conflict, and what happened stays uncommitted', async () => {
    const own = carts()
    const [mine, theirs] = [own.create('1'), own.create('1')]
    theirs.add('pen', 1)
    await own.save(theirs)
    mine.add('ink', 1)
    await expect(own.save(mine)).rejects.toThrow(ConcurrencyError)
    expect(mine.uncommittedEvents).toHaveLength(1)
    expect(await store.getEvents('cart-1')).toHaveLength(1)
  })

  test('handle works on the present state, and anew where somebody else was faster', async () => {
    const own = carts({ retry: { retries: 40, maxDelay: 20 } })
    await Promise.all(Array.from({ length: 10 }, (_, n) => own.handle('1', (cart) => cart.add(`item ${n}`, n))))
    const { state, revision } = await own.load('1')
    expect([state.total, revision, state.items.size]).toEqual([45, 9, 10])
    await expect(own.handle('1', (cart) => cart.add('x', 1), { expected: 3 })).rejects.toThrow(ConcurrencyError)
  })

  test('a handle whose act throws saves nothing of what has happened before', async () => {
    const own = carts()
    const acting = own.handle('1', (cart) => {
      cart.add('pen', 1)
      throw new Error('changed my mind')
    })
    await expect(acting).rejects.toThrow('changed my mind')
    expect(await own.find('1')).toBeUndefined()
  })

  test('an event without a when is an error, or passed over with the revision kept right', async () => {
    const Stray = event('Stray', typed<{ n: number }>())
    await store.append('cart-1', [item('pen'), Stray.create({ n: 1 })])
    await expect(carts().load('1')).rejects.toThrow(UnknownEventError)
    const lenient = carts({ unknownEvents: 'ignore' })
    const cart = await lenient.get('1')
    expect(cart.revision).toBe(1)
    cart.add('ink', 1)
    expect((await lenient.save(cart)).revision).toBe(2)
  })

  test.each([false, { every: 2 }])('time travel gives the object as it was (snapshots: %j)', async (snapshots) => {
    const own = carts({ snapshots })
    for (let n = 0; n < 5; n++) await own.handle('1', (cart) => cart.add(`item ${n}`, 1))
    for (let n = 0; n < 5; n++) {
      const cart = await own.get('1', { at: n })
      expect([cart.total, cart.revision, cart.items.size]).toEqual([n + 1, n, n + 1])
    }
  })
})

test('a new event changes the state by what its schema makes of it, as history does', async () => {
  const cart = new Cart('1')
  cart.add('pen', 4)
  // `count` is the schema's default.
  expect(cart.items.get('pen')).toBe(1)
  expect(cart.uncommittedEvents[0]?.data).toEqual({ name: 'pen', price: 4 })
})

test('an event that is invalid changes nothing', () => {
  const cart = new Cart('1')
  expect(() => cart.add('pen', 'much' as never)).toThrow(ValidationError)
  expect([cart.total, cart.revision, cart.uncommittedEvents]).toEqual([0, -1, []])
})

test('load makes the state of history, and refuses to leave something out', async () => {
  const [, open] = local[0] as (typeof local)[number]
  const store = new EventStore((await open()).storage, { contracts: [ItemAdded] })
  await store.append('cart-1', [item('pen', 2), item('ink', 3)])
  const cart = new Cart('1').load(await store.replayEvents('cart-1'))
  expect([cart.total, cart.revision, cart.uncommittedEvents]).toEqual([5, 1, []])
  const Stray = event('Stray', typed<{ n: number }>())
  expect(() => new Cart('1').load([Stray.create({ n: 1 })])).toThrow(/no handler of Stray \(it has: ItemAdded, Paid\)/)
})

describe('declaring', () => {
  class Renamed extends DomainEvent<{ name: string }> {
    static readonly type = 'person.renamed'
    get shout(): string {
      return this.data.name.toUpperCase()
    }
  }
  class Person extends AggregateRoot<Renamed> {
    name = ''
    constructor(id: string) {
      super(id)
      this.when(Renamed, (renamed) => {
        this.name = renamed.shout
      })
    }
    rename(name: string): void {
      this.apply(new Renamed({ name }))
    }
  }

  test('event classes are told by their declared type, and are instances, new or read', async () => {
    const [, open] = local[0] as (typeof local)[number]
    const people = repository(storeOver((await open()).storage), Person, { category: 'person' })
    const { state } = await people.handle('1', (person) => person.rename('ada'))
    expect(state.name).toBe('ADA')
    expect((await people.get('1')).name).toBe('ADA')
  })

  test('two handlers of one event, a handler of a command, and an event without a handler are refused', () => {
    const Happened = event('Happened', typed<object>())
    class Twice extends AggregateRoot<EventOf<typeof Happened>> {
      constructor(id: string) {
        super(id)
        this.when(Happened, () => {})
        this.when(Happened, () => {})
      }
    }
    expect(() => new Twice('1')).toThrow(/two handlers of Happened/)
    class OfCommand extends AggregateRoot {
      constructor(id: string) {
        super(id)
        this.when(command('Do', typed<object>()), () => {})
      }
    }
    expect(() => new OfCommand('1')).toThrow(/Do is a command/)
    class Without extends AggregateRoot<EventOf<typeof Happened>> {
      act(): void {
        this.apply(Happened.create({}))
      }
    }
    expect(() => new Without('1').act()).toThrow(/say this.when\(Happened/)
  })

  test('a schema that is asynchronous is refused where the event happens', () => {
    const Checked = event('Checked', z.object({ n: z.number().refine(async () => true) }))
    class Slow extends AggregateRoot<EventOf<typeof Checked>> {
      constructor(id: string) {
        super(id)
        this.when(Checked, () => {})
      }
      act(): void {
        this.apply(Checked.create({ n: 1 }))
      }
    }
    expect(() => new Slow('1').act()).toThrow(/is asynchronous/)
  })

  test('snapshots need a class that can be kept and restored', async () => {
    const [, open] = local[0] as (typeof local)[number]
    const store = storeOver((await open()).storage)
    const make = () => repository(store, Person, { category: 'person', snapshots: true })
    expect(make).toThrow(/needs toSnapshot\(\)/)
  })
})
