import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { event } from '../message/index.ts'
import { fromNodeSqlite } from '../transaction/index.ts'
import { createFakeClock } from '../testing/index.ts'
import { EventStore } from './event-store.ts'
import { all, OrderPaid, OrderPlaced } from './fixtures/orders.ts'
import { local, type Opened, storages } from './fixtures/storages.ts'

const at = new Date('2026-01-02T03:04:05Z')
const placed = (total: number) => OrderPlaced.create({ total })

describe.each(storages)('an event store over %s', (_name, open) => {
  const clock = createFakeClock()
  const contracts = [OrderPlaced, OrderPaid]
  let opened: Opened
  let store: EventStore<typeof OrderPlaced | typeof OrderPaid>

  beforeEach(async () => {
    opened = await open({ clock })
    store = new EventStore(opened.storage, { contracts, clock })
    await store.start()
  })
  afterEach(() => opened.close())

  test('gives typed events back as they were, wherever they were kept', async () => {
    const metadata = { userId: 'u', mine: 'x' }
    const first = OrderPlaced.create({ total: 5 }, metadata, { time: at, priority: 'high' })
    await store.append('order-1', [first, OrderPaid.create({ at })], { expected: 'none' })
    const [one, two] = await all(store.readStream('order-1'))
    expect(one).toMatchObject({ known: true, stream: 'order-1', revision: 0, storedAt: expect.any(Date) as Date })
    expect(one?.event).toMatchObject({
      id: first.id,
      subject: 'order-1',
      key: 'order-1',
      time: at,
      revision: 0,
      priority: 'high',
      metadata: { ...metadata, correlationId: first.id },
      data: { total: 5, note: 'none' },
    })
    expect(two?.event).toMatchObject({ revision: 1, data: { at } })
    expect(await store.getEventsByCorrelationId(first.id)).toHaveLength(1)
  })

  test('appends of `any` tell each event its place when it is read', async () => {
    for (let n = 0; n < 3; n++) await store.append('order-1', placed(n))
    expect((await store.replayEvents('order-1')).map(({ revision }) => revision)).toEqual([0, 1, 2])
  })

  test('brings old events to the present version', async () => {
    const Old = event('Moved', z.object({ place: z.string() }))
    const Moved = event('Moved', z.object({ city: z.string() }), {
      version: 2,
      upcast: { 1: (data) => ({ city: (data as { place: string }).place }) },
    })
    await new EventStore(opened.storage, { contracts: [Old] }).append('a-1', Old.create({ place: 'Kiel' }))
    const [moved] = await new EventStore(opened.storage, { contracts: [Moved] }).replayEvents('a-1')
    expect(moved).toMatchObject({ version: 2, data: { city: 'Kiel' } })
  })

  test('catches up and goes on live without a gap or a duplicate, while several append', async () => {
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; n < 40; n++) await store.append(`order-${writer}`, placed(n))
    })
    const seen: string[] = []
    const subscription = await store.subscribe({}, ({ stream, revision }) => void seen.push(`${stream} ${revision}`))
    await Promise.all(writers)
    await expect.poll(() => seen.length, { timeout: 30_000 }).toBe(160)
    const kept = (await all(store.readAll())).map(({ stream, revision }) => `${stream} ${revision}`)
    expect(seen).toEqual(kept)
    expect((await subscription.stop()).position).toBe((await store.head()).position)
  })

  test('passes over what nobody asked for, and hands out the rest', async () => {
    await store.append('order-1', [placed(1), OrderPaid.create({ at }), placed(2)])
    await store.append('refund-1', OrderPaid.create({ at }))
    const seen: string[] = []
    const asked = { types: [OrderPaid], categories: ['order'] }
    const subscription = await store.subscribe(asked, ({ stream }) => void seen.push(stream))
    const head = (await store.head()).position
    await expect.poll(() => subscription.position, { timeout: 30_000 }).toBe(head)
    await subscription.stop()
    expect(seen).toEqual(['order-1'])
  })

  test('forgets by retention, never the last event', async () => {
    const retention = { order: { maxEvents: 2 } }
    const keeping = new EventStore(opened.storage, { clock, retention })
    for (let n = 0; n < 5; n++) await store.append('order-1', placed(n))
    await store.append('refund-1', [placed(1), placed(2), placed(3)])
    expect(await keeping.retain()).toBe(3)
    expect(await keeping.retain()).toBe(0)
    expect((await store.getEvents('order-1')).map(({ revision }) => revision)).toEqual([3, 4])
    expect(await store.getEvents('refund-1')).toHaveLength(3)
    expect((await store.append('order-1', placed(9))).revision).toBe(5)
  })

  test('shows what an append would be read as, before it is made', async () => {
    const prepared = await store.prepare('order-1', [placed(1), OrderPaid.create({ at })], { expected: 'none' })
    expect(prepared.events.map(({ revision, data }) => [revision, data])).toEqual([
      [0, { total: 1, note: 'none' }],
      [1, { at }],
    ])
    expect((await store.info('order-1')).revision).toBe(-1)
    await prepared.append()
    expect(await store.replayEvents('order-1')).toEqual(prepared.events)
  })

  test('remembers who deleted a stream', async () => {
    await store.append('order-1', placed(1))
    const by = 'ada'
    expect(await store.deleteStream('order-1', { by })).toMatchObject({ revision: 0, deletedBy: by })
    expect(await store.info('order-1')).toMatchObject({ deletedBy: by })
  })
})

describe('transactions, over SQLite', () => {
  const [, open] = local.find(([name]) => name === 'SQLite') as (typeof local)[number]
  let opened: Opened
  let store: EventStore<typeof OrderPlaced>
  let database: DatabaseSync

  beforeEach(async () => {
    opened = await open()
    store = new EventStore(opened.storage, { contracts: [OrderPlaced] })
    await store.start()
    database = new DatabaseSync(opened.file ?? '')
    database.exec('PRAGMA busy_timeout = 5000; CREATE TABLE totals (id TEXT PRIMARY KEY, total INTEGER NOT NULL)')
  })
  afterEach(async () => {
    database.close()
    await opened.close()
  })
  const totals = (): unknown[] =>
    database
      .prepare('SELECT total FROM totals')
      .all()
      .map((row) => row['total'])

  test('what an inline function writes is there exactly if the events are', async () => {
    const write = (total: number) => ({
      inline: async (tx: { execute(sql: string, params?: readonly (string | number)[]): Promise<unknown> }) => {
        await tx.execute('INSERT INTO totals VALUES (?, ?)', [`${total}`, total])
        if (total < 0) throw new Error('below zero')
      },
    })
    await store.append('order-1', placed(1), write(1))
    await expect(store.append('order-1', placed(-1), write(-1))).rejects.toThrow('below zero')
    expect(totals()).toEqual([1])
    expect(await store.getEvents('order-1')).toHaveLength(1)
  })

  test('a function of the store runs with every append, with typed events, and not for a repetition', async () => {
    const seen: unknown[] = []
    const remove = store.inline(async (_tx, recorded) => {
      for (const each of recorded) if (each.known) seen.push([each.event.data.note, each.revision, each.stream])
    })
    const first = placed(1)
    await store.append('order-1', first)
    await store.append('order-1', first)
    await store.appendAll([
      { stream: 'order-1', events: [placed(2)] },
      { stream: 'order-2', events: [placed(3)] },
    ])
    remove()
    await store.append('order-1', placed(4))
    expect(seen).toEqual([
      ['none', 0, 'order-1'],
      ['none', 1, 'order-1'],
      ['none', 0, 'order-2'],
    ])
  })

  test('an append in your own transaction is there if you commit, and not if you do not', async () => {
    for (const end of ['ROLLBACK', 'COMMIT']) {
      database.exec('BEGIN IMMEDIATE')
      const appended = await store.append('order-1', placed(7), { expected: 'none', tx: fromNodeSqlite(database) })
      expect(appended.revision).toBe(0)
      database.exec(`INSERT INTO totals VALUES ('1', 7); ${end}`)
      const isThere = end === 'COMMIT'
      expect(await store.getEvents('order-1')).toHaveLength(isThere ? 1 : 0)
      expect(totals()).toEqual(isThere ? [7] : [])
    }
  })
})
