import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { MemoryEventStorage } from '../memory/index.ts'
import { ambient } from '../message/causation.ts'
import {
  command,
  ConfigurationError,
  DomainEvent,
  event,
  type EncodedMessage,
  type Message,
  RichJsonCodec,
  Snapshot,
  typed,
  ValidationError,
} from '../message/index.ts'
import { MemoryKeyStore, PersonalData } from '../privacy/index.ts'
import { AppendError, BEGINNING, ConcurrencyError } from '../store/index.ts'
import { UnknownEventError, UnreadableEventError } from './errors.ts'
import { EventStore } from './event-store.ts'
import { all, OrderPaid, OrderPlaced, orderStore } from './fixtures/orders.ts'

const at = new Date('2026-01-02T03:04:05Z')

describe('an append', () => {
  test('keeps every attribute of the event; subject and key are the stream, the revision its place', async () => {
    const store = orderStore()
    const metadata = { userId: 'u', tenantId: 't', traceparent: '00-1-2-01', mine: 'x' }
    const placed = OrderPlaced.create({ total: 5 }, metadata, { time: at, priority: 'high' })
    await store.append('order-1', [placed, OrderPaid.create({ at }, {}, { subject: 's', source: 'till' })], {
      expected: 'none',
    })
    const [first, second] = await all(store.readStream('order-1'))
    expect(first).toMatchObject({ known: true, stream: 'order-1', revision: 0, topic: 'events' })
    expect(first?.storedAt).toBeInstanceOf(Date)
    expect(first?.event).toMatchObject({
      id: placed.id,
      type: 'OrderPlaced',
      kind: 'event',
      source: 'orders',
      subject: 'order-1',
      key: 'order-1',
      time: at,
      version: 1,
      revision: 0,
      priority: 'high',
      data: { total: 5, note: 'none' },
      metadata: { ...metadata, correlationId: placed.id },
    })
    expect(second?.event).toMatchObject({ source: 'till', subject: 's', key: 's', revision: 1, data: { at } })
  })

  test('validates: what does not fit its contract is not stored, nor what is with it', async () => {
    const store = orderStore()
    const wrong = [OrderPlaced.create({ total: 5 }), OrderPlaced.create({ total: 'much' as never })]
    await expect(store.append('order-1', wrong)).rejects.toThrow(ValidationError)
    expect(await store.info('order-1')).toMatchObject({ revision: -1 })
  })

  test.each([
    ['none', 'none'],
    ['exists', 'exists'],
    ['a revision', 3],
  ] as const)('is refused where the stream is not as expected: %s', async (_, expected) => {
    const store = orderStore()
    if (expected !== 'exists') await store.append('order-1', OrderPlaced.create({ total: 1 }))
    const refused = store.append('order-1', OrderPlaced.create({ total: 2 }), { expected })
    await expect(refused).rejects.toThrow(ConcurrencyError)
  })

  test('of the same events again writes nothing and answers as the first did', async () => {
    const store = orderStore()
    const placed = OrderPlaced.create({ total: 1 })
    const first = await store.append('order-1', [placed], { expected: 'none' })
    expect(await store.append('order-1', [placed], { expected: 'none' })).toEqual({ ...first, repeated: true })
    expect((await store.head()).count).toBe(1)
  })

  test('to several streams is all or nothing', async () => {
    const store = orderStore()
    await store.append('b-1', OrderPlaced.create({ total: 1 }))
    const both = (expected: 'none' | 'any') =>
      store.appendAll([
        { stream: 'a-1', events: [OrderPlaced.create({ total: 1 })] },
        { stream: 'b-1', events: [OrderPlaced.create({ total: 2 })], expected },
      ])
    await expect(both('none')).rejects.toThrow(ConcurrencyError)
    expect((await store.info('a-1')).revision).toBe(-1)
    expect((await both('any')).map(({ stream, revision }) => [stream, revision])).toEqual([
      ['a-1', 0],
      ['b-1', 1],
    ])
  })

  test('takes events only, and says so', async () => {
    const store = new EventStore(new MemoryEventStorage())
    const Place = command('Place', typed<{ n: number }>())
    await expect(store.append('a-1', Place.create({ n: 1 }))).rejects.toThrow(/Place .* is a command/)
    await expect(store.append('a-1', { n: 1 } as never)).rejects.toThrow(/no event: make one with/)
    await expect(store.append('a-1', [])).rejects.toThrow(AppendError)
    expect(() => store.learn(Place)).toThrow(ConfigurationError)
  })

  test('refuses an event that says it belongs elsewhere in the stream', async () => {
    const store = orderStore()
    const third = OrderPlaced.create({ total: 1 }, {}, { revision: 2 })
    await expect(store.append('order-1', third, { expected: 'none' })).rejects.toThrow(/revision 2 .*place would be 0/)
  })

  test('of a handler is caused by what is handled; metadata of the append fills in what the event does not say', async () => {
    const store = orderStore()
    const cause: Message = OrderPaid.create({ at }, { correlationId: 'c', userId: 'u' })
    const metadata = { userId: 'ignored', channel: 'web', correlationId: 'other' }
    await ambient.run(cause, () => store.append('order-1', OrderPlaced.create({ total: 1 }), { metadata }))
    const alone = OrderPlaced.create({ total: 1 })
    await store.append('order-2', alone, { metadata })
    const [caused] = await store.getEvents('order-1')
    expect(caused?.metadata).toEqual({ correlationId: 'c', causationId: cause.id, userId: 'u', channel: 'web' })
    expect((await store.getEvents('order-2'))[0]?.metadata).toEqual(metadata)
    expect((await store.getEventsByCorrelationId('c')).map(({ subject }) => subject)).toEqual(['order-1'])
  })

  test('never keeps the object that it was given', async () => {
    const store = new EventStore(new MemoryEventStorage())
    const Listed = event('Listed', typed<{ items: string[] }>())
    const data = { items: ['a'] }
    await store.append('list-1', Listed.create(data))
    data.items.push('b')
    const [read] = await store.getEvents('list-1')
    expect(read?.data).toEqual({ items: ['a'] })
  })

  test('with a transaction is refused by a storage without, and nothing is written', async () => {
    const store = orderStore()
    const remove = store.inline(async () => {})
    await expect(store.append('order-1', OrderPlaced.create({ total: 1 }))).rejects.toThrow(/no transactions/)
    remove()
    await expect(store.append('order-1', OrderPlaced.create({ total: 1 }))).resolves.toMatchObject({ revision: 0 })
  })
})

describe('what is read', () => {
  test('is the contract’s output, with Dates where it wants them, and an instance where it is a class', async () => {
    class Shipped extends DomainEvent<{ to: string }> {
      static readonly type = 'Shipped'
      get label(): string {
        return `to ${this.data.to}`
      }
    }
    const store = new EventStore(new MemoryEventStorage(), { contracts: [OrderPaid, Shipped] })
    await store.append('order-1', [OrderPaid.create({ at }), new Shipped({ to: 'Kiel' })])
    const [paid, shipped] = await all(store.readStream('order-1'))
    expect(paid?.event.data).toEqual({ at })
    expect(shipped?.event).toBeInstanceOf(Shipped)
    expect(shipped?.event).toHaveProperty('label', 'to Kiel')
    expect(shipped?.event.revision).toBe(1)
  })

  test('has passed the upcasters of its contract', async () => {
    const storage = new MemoryEventStorage()
    const old = event('Moved', z.object({ place: z.string() }))
    await new EventStore(storage, { contracts: [old] }).append('a-1', old.create({ place: 'Kiel' }))
    const now = event('Moved', z.object({ city: z.string() }), {
      version: 2,
      upcast: { 1: (data) => ({ city: (data as { place: string }).place }) },
    })
    const [moved] = await new EventStore(storage, { contracts: [now] }).getEvents('a-1')
    expect(moved).toMatchObject({ version: 2, data: { city: 'Kiel' } })
  })

  test('of an unknown type is given as it was decoded, and marked', async () => {
    const storage = new MemoryEventStorage()
    await orderStore(storage).append('order-1', [OrderPlaced.create({ total: 1 }), OrderPaid.create({ at })])
    const store = new EventStore(storage, { contracts: [OrderPlaced] })
    const read = await all(store.readStream('order-1'))
    expect(read.map(({ known, event }) => [known, event.data])).toEqual([
      [true, { total: 1, note: 'none' }],
      [false, { at: at.toISOString() }],
    ])
  })

  test('ends with a typed error at what does not fit the contract any more, and can go on behind it', async () => {
    const storage = new MemoryEventStorage()
    const loose = event('OrderPlaced', z.object({ total: z.any() }))
    const before = new EventStore(storage, { contracts: [loose] })
    await before.append(
      'order-1',
      [1, 'secret', 3].map((total) => loose.create({ total })),
    )
    const store = orderStore(storage)
    const seen: number[] = []
    const reading = async (after: string): Promise<void> => {
      for await (const { revision } of store.readAll({ after })) seen.push(revision)
    }
    const error = await reading(BEGINNING).catch((thrown: unknown) => thrown as UnreadableEventError)
    expect(error).toBeInstanceOf(UnreadableEventError)
    expect(error).toMatchObject({ stream: 'order-1', revision: 1, reason: 'invalid', type: 'OrderPlaced' })
    expect((error as Error).message).toMatch(/total/)
    expect((error as Error).message).not.toMatch(/secret/)
    await reading((error as UnreadableEventError).position)
    expect(seen).toEqual([0, 2])
  })

  test('tells a body that cannot be decoded from data that does not fit', async () => {
    const storage = new MemoryEventStorage()
    const broken = { ...OrderPlaced.create({ total: 1 }), contentType: 'application/json', body: '{"total":' }
    const message = broken as unknown as EncodedMessage
    await storage.append([{ stream: 'order-1', expected: 'any', events: [{ topic: 'events', message }] }])
    await expect(all(orderStore(storage).readStream('order-1'))).rejects.toMatchObject({ reason: 'undecodable' })
  })

  test('of a newer version than this program knows is an error, never a guess', async () => {
    const storage = new MemoryEventStorage()
    const newer = event('OrderPlaced', typed<{ total: number }>(), { version: 9 })
    await new EventStore(storage).append('order-1', newer.create({ total: 1 }))
    await expect(all(orderStore(storage).readStream('order-1'))).rejects.toThrow(/knows versions up to 1/)
  })

  test('is by range, backwards, by type, by category and after a position', async () => {
    const store = orderStore()
    for (const stream of ['order-1', 'refund-1']) {
      await store.append(stream, [OrderPlaced.create({ total: 1 }), OrderPaid.create({ at }), OrderPaid.create({ at })])
    }
    const places = async (read: ReturnType<typeof store.readAll>) =>
      (await all(read)).map(({ stream, revision }) => `${stream}:${revision}`)
    expect(await places(store.readStream('order-1', { direction: 'backwards', from: 1 }))).toEqual([
      'order-1:1',
      'order-1:0',
    ])
    expect(await places(store.readStream('order-1', { from: 1, limit: 1 }))).toEqual(['order-1:1'])
    expect(await places(store.readAll({ types: [OrderPlaced] }))).toEqual(['order-1:0', 'refund-1:0'])
    expect(await places(store.readAll({ types: ['OrderPaid'], categories: ['refund'], limit: 1 }))).toEqual([
      'refund-1:1',
    ])
    const [, second] = await all(store.readAll())
    expect(await places(store.readAll({ after: second?.position ?? '', limit: 2 }))).toEqual([
      'order-1:2',
      'refund-1:0',
    ])
  })

  test('has passed the codec of the store', async () => {
    const Counted = event('Counted', typed<{ n: bigint }>())
    const store = new EventStore(new MemoryEventStorage(), { contracts: [Counted], codec: new RichJsonCodec() })
    await store.append('a-1', Counted.create({ n: 10n }))
    expect((await store.getEvents('a-1'))[0]?.data).toEqual({ n: 10n })
    for await (const { message } of store.storage.readAll()) expect(message.body).toBeInstanceOf(Snapshot)
  })
})

test('personal data is encrypted in the storage, and still readable history once a person is forgotten', async () => {
  const Joined = event('Joined', z.object({ id: z.string(), email: z.string() }), {
    personal: ['email'],
    person: ({ id }) => id,
  })
  const privacy = new PersonalData({ keys: new MemoryKeyStore() })
  const store = new EventStore(new MemoryEventStorage(), { contracts: [Joined], privacy })
  await store.append('member-1', Joined.create({ id: 'ada', email: 'ada@example.org' }))
  for await (const { message } of store.storage.readAll()) expect(JSON.stringify(message)).not.toContain('example.org')
  expect((await store.replayEvents('member-1'))[0]?.data).toEqual({ id: 'ada', email: 'ada@example.org' })
  await privacy.forget('ada')
  expect((await store.replayEvents('member-1'))[0]?.data).toEqual({ id: 'ada', email: '[erased]' })
})

describe('the thin forms', () => {
  test('save puts an event into the stream that its subject names, at the revision that it says it makes', async () => {
    const store = orderStore()
    const of = (revision?: number) =>
      OrderPlaced.create({ total: 1 }, {}, { subject: 'order-1', ...(revision === undefined ? {} : { revision }) })
    await store.save(of(0))
    await store.save(of(1))
    await store.save(of())
    await expect(store.save(of(1))).rejects.toThrow(ConcurrencyError)
    await expect(store.save(of(0))).rejects.toThrow(ConcurrencyError)
    await expect(store.save(OrderPlaced.create({ total: 1 }))).rejects.toThrow(/has no subject/)
    expect((await store.getEvents('order-1')).map(({ revision }) => revision)).toEqual([0, 1, 2])
  })

  test('replayEvents gives the events in order, and refuses to leave one out', async () => {
    const storage = new MemoryEventStorage()
    const store = orderStore(storage)
    await store.append('order-1', [OrderPlaced.create({ total: 1 }), OrderPaid.create({ at })])
    expect((await store.replayEvents('order-1')).map(({ type }) => type)).toEqual(['OrderPlaced', 'OrderPaid'])
    const half = new EventStore(storage, { contracts: [OrderPlaced] })
    await expect(half.replayEvents('order-1')).rejects.toThrow(UnknownEventError)
    await expect(half.replayEvents('order-1')).rejects.toMatchObject({ type: 'OrderPaid', revision: 1 })
    expect(await new EventStore(storage).replayEvents('order-1')).toHaveLength(2)
  })

  test('deleteStream leaves a tombstone: nothing is read, and nothing can be appended', async () => {
    const store = orderStore()
    await store.append('order-1', OrderPlaced.create({ total: 1 }))
    expect(await store.deleteStream('order-1')).toMatchObject({ revision: 0, deletedAt: expect.any(Number) as number })
    expect(await store.getEvents('order-1')).toEqual([])
    await expect(store.append('order-1', OrderPlaced.create({ total: 1 }))).rejects.toThrow(/was deleted/)
    await expect(store.deleteStream('order-2')).rejects.toThrow(ConcurrencyError)
  })
})
