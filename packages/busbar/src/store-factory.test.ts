import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, expectTypeOf, test } from 'vitest'
import { storeSettings } from './config/config.ts'
import { EventStore } from './eventstore/index.ts'
import { OrderPaid, OrderPlaced } from './eventstore/fixtures/orders.ts'
import { MemoryEventStorage } from './memory/index.ts'
import { createEventStore } from './store-factory.ts'

test('a URL and contracts are all that an event store needs', async () => {
  await using store = await createEventStore('memory:?maxEventBytes=2048', { contracts: [OrderPlaced, OrderPaid] })
  await store.append('order-1', OrderPlaced.create({ total: 1 }))
  const [placed] = await store.replayEvents('order-1')
  expectTypeOf(placed?.type).toEqualTypeOf<'OrderPlaced' | 'OrderPaid' | undefined>()
  expect(store.storage.name).toBe('memory')
  await expect(store.append('order-2', OrderPlaced.create({ total: 1, note: 'x'.repeat(3000) }))).rejects.toThrow(
    /2048/,
  )
})

test('a type with its settings, a storage of your own, and the environment do as well', async () => {
  const storage = new MemoryEventStorage()
  expect((await createEventStore(storage)).storage).toBe(storage)
  const config = { type: 'memory', memory: { maxEventBytes: 9 } } as const
  expect((await createEventStore(config)).storage.capabilities.maxEventBytes).toBe(9)
  const env = { BUSBAR_STORE_URL: 'memory:', BUSBAR_STORE_MEMORY_MAX_EVENT_BYTES: '7' }
  const store = await createEventStore(undefined, {}, env)
  expect(store).toBeInstanceOf(EventStore)
  expect(store.storage.capabilities.maxEventBytes).toBe(7)
})

test('a file is a store that lasts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'busbar-store-'))
  const url = `sqlite:${join(folder, 'orders.db')}`
  try {
    const before = await createEventStore(url, { contracts: [OrderPlaced] })
    await before.append('order-1', OrderPlaced.create({ total: 1 }))
    await before.stop()
    await using after = await createEventStore({ type: 'sqlite', sqlite: { file: join(folder, 'orders.db') } })
    expect((await after.getEvents('order-1')).map(({ data }) => data)).toEqual([{ total: 1 }])
    expect(after.storage.name).toBe('sqlite')
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a Redis server is named as for the broker, and takes nothing that only the broker has', async () => {
  expect(storeSettings('redis://me:secret@a:1/2?prefix=shop&family=6', {})).toEqual({
    type: 'redis',
    settings: { url: 'redis://me:secret@a:1/2?family=6', prefix: 'shop' },
  })
  expect(storeSettings({ type: 'redis' }, { BUSBAR_REDIS_URL: 'redis://b' }).settings).toEqual({ url: 'redis://b' })
  await expect(createEventStore('redis://a?lease=500', {}, {})).rejects.toThrow(
    /unknown option 'store URL redis:.lease'/,
  )
})

test('a Postgres database is named as for the broker', () => {
  expect(storeSettings('postgres://me:secret@a/db?schema=shop&sslmode=require', {})).toEqual({
    type: 'postgres',
    settings: { url: 'postgres://me:secret@a/db?sslmode=require', schema: 'shop' },
  })
})

test.each([
  ['sqlite:', /'store.sqlite.file' is missing/],
  ['sqlite:x.db?sync=full', /unknown option 'store URL sqlite:.sync'/],
  [undefined, /no event store was named.*BUSBAR_STORE_URL/],
  ['kafak://me:secret@host', /store URL 'kafak:…' has an unknown scheme; known: memory:/],
  ['memory:somewhere', /takes no path/],
  ['memory:?size=1', /unknown option 'store URL memory:.size'; known here: maxEventBytes/],
  [{ type: 'mongo' } as never, /'store.type' must be one of memory/],
] as const)('%j is refused', async (target, message) => {
  await expect(createEventStore(target, {}, {})).rejects.toThrow(message)
})
