import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { type EventBus, silentLogger } from './bus/index.ts'
import { brokerSettings, type BusConfig } from './config/config.ts'
import { EventStore } from './eventstore/index.ts'
import { createEventBus, EventBusFactory } from './factory.ts'
import { MemoryBroker, MemoryEventStorage } from './memory/index.ts'
import { event, typed } from './message/index.ts'
import type { KeepingBroker } from './persistence/index.ts'

const Pinged = event('Pinged', typed<{ n: number }>())

test('a URL is all that a bus needs', async () => {
  await using bus = await createEventBus('memory:')
  const seen: number[] = []
  await bus.subscribe(Pinged, (message) => void seen.push(message.data.n))
  await bus.publish(Pinged.create({ n: 1 }))
  await bus.idle()
  expect(seen).toEqual([1])
})

test('create gives a bus that begins to hand out with start', async () => {
  const bus = await EventBusFactory.create({ broker: { type: 'memory' } })
  const seen: number[] = []
  await bus.subscribe(Pinged, (message) => void seen.push(message.data.n))
  expect((await bus.health()).status).toBe('down')
  await bus.start()
  expect((await bus.health()).status).toBe('up')
  await bus.publish(Pinged.create({ n: 2 }))
  await bus.idle()
  expect(seen).toEqual([2])
  await bus.stop()
})

test('the environment fills in what the configuration leaves out, and the configuration wins', async () => {
  const env = { BUSBAR_URL: 'memory:', BUSBAR_SOURCE: 'from-env', BUSBAR_RETRIES: '7' }
  const named = await EventBusFactory.create({}, env)
  expect([named.source, named.getBroker().name]).toEqual(['from-env', 'memory'])
  expect((await EventBusFactory.create({ source: 'given' }, env)).source).toBe('given')
})

test('how long SQLite keeps messages can be said in the URL', () => {
  const { settings } = brokerSettings('sqlite:x.db?maxAge=60000', {})
  expect(settings).toEqual({ file: 'x.db', retention: { maxAge: 60_000 } })
})

const refused: readonly (readonly [string, () => Promise<unknown>, RegExp])[] = [
  ['no broker at all', () => EventBusFactory.create({}, {}), /BUSBAR_URL/],
  [
    'an unknown scheme',
    () => createEventBus('kafak://secret:pw@host'),
    /'kafak:…' has an unknown scheme; known: memory:, sqlite:/,
  ],
  ['no scheme', () => createEventBus('orders.db'), /unknown scheme; known: memory:, sqlite:/],
  [
    'an unknown broker type',
    () => createEventBus({ broker: { type: 'sqlight' } as never }),
    /'broker.type' must be one of memory, sqlite/,
  ],
  [
    'an unknown option',
    () => createEventBus({ broker: 'memory:', concurency: 3 } as never),
    /unknown option 'concurency'; known here: .*concurrency/,
  ],
  [
    'an unknown broker option',
    () => createEventBus({ broker: { type: 'sqlite', sqlite: { flie: 'x' } } as never }),
    /'broker.sqlite.flie'.*file/,
  ],
  [
    "another broker's settings",
    () => createEventBus({ broker: { type: 'memory', sqlite: {} } as never }),
    /unknown option 'broker.sqlite'/,
  ],
  ['an unknown URL parameter', () => createEventBus('sqlite:x.db?sync=full'), /sync'; known here: .*synchronous/],
  [
    'a wrong value',
    () => createEventBus('memory:', { concurrency: 0 }),
    /'concurrency' must be a whole number from 1, not 0/,
  ],
  [
    'a wrong nested value',
    () => createEventBus('memory:', { retry: { retries: -1 } }),
    /'retry.retries' must be a whole number from 0/,
  ],
  ['a wrong choice', () => createEventBus('sqlite:x.db?synchronous=off'), /must be one of normal, full, not 'off'/],
  ['a missing file', () => createEventBus('sqlite:'), /'broker.sqlite.file' is missing/],
  ['a path for memory', () => createEventBus('memory:somewhere'), /takes no path/],
  [
    'a wrong variable',
    () => EventBusFactory.create({}, { BUSBAR_URL: 'memory:', BUSBAR_CONCURRENCY: 'many' }),
    /BUSBAR_CONCURRENCY must be a whole number/,
  ],
]

test.each(refused)('%s is refused with an error that says what would be right', async (_what, make, error) => {
  await expect(make()).rejects.toThrow(error)
})

test('an error about a URL never shows its credentials', async () => {
  await expect(createEventBus('kafak://secret:pw@host')).rejects.not.toThrow(/secret|pw@/)
})

test('createForTesting retries at once and ends', async () => {
  await using bus = await EventBusFactory.createForTesting()
  let runs = 0
  await bus.subscribe(Pinged, () => {
    runs++
    throw new Error('no')
  })
  await bus.publish(Pinged.create({ n: 1 }))
  await bus.idle()
  expect(runs).toBe(16)
  expect(await bus.deadLetters.count()).toBe(1)
  expect(bus.published(Pinged)).toHaveLength(1)
})

describe('hybrid', () => {
  test('keeps the named types in memory, and everything else goes to the broker', async () => {
    const remote = new MemoryBroker()
    const hybrid = { localTypes: ['Cached', 'ui.*'] }
    await using bus = await EventBusFactory.createAndStart({ broker: remote, hybrid }, {})
    expect(bus.getBroker().name).toBe('hybrid(memory, memory)')
    const there: string[] = []
    const spec = { group: 'spy', topics: ['events'], broadcast: true, prefetch: 10, from: 'latest' } as const
    await remote.subscribe({ ...spec, onFailure: 'continue' }, ({ message }) => {
      there.push(message.type)
      return { ack: true }
    })
    for (const type of ['Cached', 'ui.Clicked', 'Ordered']) await bus.publish(event(type, typed<object>()).create({}))
    await expect.poll(() => there).toEqual(['Ordered'])
  })

  test.each([
    [{ hybrid: { locals: [] } }, /unknown option 'hybrid\.locals'; known here: local, localTypes/],
    [{ hybrid: 'yes' }, /option 'hybrid' must be true, false or/],
    [{ hybrid: { localTypes: 'A' } }, /option 'hybrid\.localTypes' must be a list of names/],
    [{ hybrid: { localTypes: ['A'], routing: () => 'local' } }, /'hybrid\.routing' decides alone/],
    [{ hybrid: { local: 'carrier-pigeon:' } }, /unknown scheme/],
  ])('%j is refused', async (config, message) => {
    await expect(EventBusFactory.create({ broker: 'memory:', ...config } as BusConfig, {})).rejects.toThrow(message)
  })

  test('can be said by the environment', async () => {
    const env = { BUSBAR_URL: 'memory:', BUSBAR_HYBRID: 'true', BUSBAR_LOCAL_TYPES: 'A, B' }
    expect((await EventBusFactory.create({}, env)).getBroker().name).toBe('hybrid(memory, memory)')
  })
})

describe('a store', () => {
  let folder: string
  const buses: EventBus[] = []
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'busbar-store-'))))
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const Kept = event('Kept', typed<{ n: number }>(), { subject: () => 'kept-1' })

  async function made(config: BusConfig): Promise<EventBus> {
    const bus = await EventBusFactory.createAndStart({ logger: silentLogger, ...config }, {})
    buses.push(bus)
    return bus
  }

  test.each([
    ['is the broker’s own log', 'a.db', true, false],
    ['on the same file shares the broker’s log', 'a.db', 'a.db', false],
    ['on another file is relayed', 'a.db', 'b.db', true],
  ])('%s', async (_, broker, store, isRelayed) => {
    const url = (file: string): string => `sqlite:${join(folder, file)}`
    const bus = await made({ broker: url(broker), store: typeof store === 'string' ? url(store) : store })
    const seen: unknown[] = []
    await bus.subscribe(Kept, ({ data }) => void seen.push(data), { group: 'g' })
    await bus.publish(Kept.create({ n: 1 }))
    expect((await bus.getStore()?.info('kept-1'))?.revision).toBe(0)
    await vi.waitFor(() => expect(seen).toEqual([{ n: 1 }]), { timeout: 20_000 })
    expect((bus.getBroker() as KeepingBroker).relay !== undefined).toBe(isRelayed)
  })

  test('may be a storage or an event store of yours, with a policy', async () => {
    const storage = new MemoryEventStorage()
    const bus = await made({ broker: 'memory:', store: new EventStore(storage), shouldPersist: ['Other'] })
    await bus.publish(Kept.create({ n: 1 }))
    expect(bus.getStore()).toBe(storage)
    expect((await storage.head()).count).toBe(0)
  })

  test('that makes no sense is refused', async () => {
    await expect(made({ broker: 'memory:', shouldPersist: ['*'] })).rejects.toThrow(/no 'store' to keep it in/)
    await expect(made({ broker: 'memory:', store: true })).rejects.toThrow(/'memory' has no log that could keep events/)
    await expect(made({ broker: 'memory:', store: 'mysql:x' })).rejects.toThrow(/mysql/)
  })
})
