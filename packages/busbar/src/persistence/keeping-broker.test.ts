import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Broker, type Outgoing, PublishError } from '../broker/index.ts'
import { EventBus, silentLogger } from '../bus/index.ts'
import { MemoryBroker, MemoryEventStorage } from '../memory/index.ts'
import { command, event, typed } from '../message/index.ts'
import { SqliteBroker, SqliteEventStorage } from '../sqlite/index.ts'
import { fromNodeSqlite } from '../transaction/index.ts'
import { KeepingBroker, type PersistenceOptions } from './index.ts'

const Counted = event('Counted', typed<{ n: number }>(), { subject: ({ n }) => `counter-${n % 2}` })
const Noted = event('Noted', typed<{ n: number }>())
const Count = command('Count', typed<{ n: number }>(), { subject: () => 'counter-0' })
const logger = silentLogger

let folder: string
const ended: (() => unknown)[] = []
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'busbar-persistence-'))))
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
  rmSync(folder, { recursive: true, force: true })
})

async function busOf(options: PersistenceOptions): Promise<EventBus> {
  const bus = new EventBus(new KeepingBroker({ logger, ...options }), { logger })
  ended.push(() => bus.stop())
  await bus.start()
  return bus
}

async function kept(storage: {
  readAll(): AsyncIterable<{ stream: string; message: { type: string } }>
}): Promise<string[]> {
  const found: string[] = []
  for await (const { stream, message } of storage.readAll()) found.push(`${stream} ${message.type}`)
  return found
}

describe('an event that is kept', () => {
  test('is in its stream when publish resolves, and reaches handlers over the relay, in order', async () => {
    const storage = new MemoryEventStorage()
    const bus = await busOf({ broker: new MemoryBroker(), storage })
    const got: number[] = []
    await bus.subscribe(Counted, ({ data }) => void got.push(data.n), { group: 'g' })
    await bus.publish([0, 1, 2, 3].map((n) => Counted.create({ n })))
    expect((await kept(storage)).toSorted()).toEqual([
      'counter-0 Counted',
      'counter-0 Counted',
      'counter-1 Counted',
      'counter-1 Counted',
    ])
    await vi.waitFor(() => expect(got).toHaveLength(4), { timeout: 20_000 })
    expect(got.filter((n) => n % 2 === 0)).toEqual([0, 2])
  })

  test('is published by the commit of its append where store and broker share a log: no relay is needed', async () => {
    const broker = new SqliteBroker({ file: join(folder, 'one.db'), logger })
    const storage = new SqliteEventStorage({ broker })
    const keeping = new KeepingBroker({ broker, storage, logger })
    expect(keeping.relay).toBeUndefined()
    const bus = new EventBus(keeping, { logger })
    ended.push(() => bus.stop())
    await bus.start()
    const got: number[] = []
    await bus.subscribe(Counted, ({ data }) => void got.push(data.n), { group: 'g' })
    await bus.publish([Counted.create({ n: 1 }), Counted.create({ n: 3 })])
    await vi.waitFor(() => expect(got).toEqual([1, 3]), { timeout: 20_000 })
    expect(await kept(storage)).toHaveLength(2)
  })

  test('is there exactly if your transaction commits, on one database', async () => {
    const file = join(folder, 'one.db')
    const broker = new SqliteBroker({ file, logger })
    const storage = new SqliteEventStorage({ broker })
    const bus = await busOf({ broker, storage })
    await bus.publish(Counted.create({ n: 0 }))
    const db = new DatabaseSync(file, { timeout: 10_000 })
    ended.push(() => db.close())
    for (const end of ['ROLLBACK', 'COMMIT']) {
      db.exec('BEGIN IMMEDIATE')
      await bus.publish([Counted.create({ n: 1 }), Noted.create({ n: 2 })], { tx: fromNodeSqlite(db) })
      db.exec(end)
    }
    expect(await kept(storage)).toEqual(['counter-0 Counted', 'counter-1 Counted'])
  })
})

test('order by a key that is not the stream holds, also within one publish', async () => {
  const Keyed = event('Keyed', typed<{ n: number; of: string }>(), { subject: ({ of }) => of, key: () => 'all' })
  const bus = await busOf({ broker: new MemoryBroker(), storage: new MemoryEventStorage() })
  const got: number[] = []
  await bus.subscribe(Keyed, ({ data }) => void got.push(data.n), { group: 'g' })
  const streams = ['a', 'b', 'a', 'a', 'c', 'b', 'a']
  await bus.publish(streams.map((of, n) => Keyed.create({ n, of })))
  await vi.waitFor(() => expect(got).toEqual([0, 1, 2, 3, 4, 5, 6]), { timeout: 20_000 })
})

describe('the policy', () => {
  test('keeps by default every event that has a subject, and nothing else', async () => {
    const storage = new MemoryEventStorage()
    const bus = await busOf({ broker: new MemoryBroker(), storage })
    const got: string[] = []
    await bus.subscribe('*', ({ type }) => void got.push(type), { group: 'g' })
    await bus.subscribe(Count, () => void got.push('Count'))
    await bus.publish([Counted.create({ n: 1 }), Noted.create({ n: 2 })])
    await bus.send(Count.create({ n: 3 }))
    await vi.waitFor(() => expect(got.toSorted()).toEqual(['Count', 'Counted', 'Noted']), { timeout: 20_000 })
    expect(await kept(storage)).toEqual(['counter-1 Counted'])
  })

  test('may be contracts and patterns, or a function', async () => {
    for (const shouldPersist of [[Counted], ['Counted'], ({ type }: { type: string }) => type === 'Counted']) {
      const storage = new MemoryEventStorage()
      const bus = await busOf({ broker: new MemoryBroker(), storage, shouldPersist })
      await bus.publish([Counted.create({ n: 1 }), Noted.create({ n: 2 }, undefined, { subject: 'note-1' })])
      expect(await kept(storage)).toEqual(['counter-1 Counted'])
    }
  })

  test('refuses what it cannot keep: no subject, a delay', async () => {
    const storage = new MemoryEventStorage()
    const bus = await busOf({ broker: new MemoryBroker(), storage, shouldPersist: ['*'] })
    await expect(bus.publish(Noted.create({ n: 1 }))).rejects.toThrow(/has no subject.*give its contract a subject/)
    await expect(bus.publish(Counted.create({ n: 1 }), { delay: 10 })).rejects.toThrow(/no delay.*shouldPersist/)
    expect(await kept(storage)).toEqual([])
  })

  test('one stream that refuses costs the others of its batch nothing, and the error says which', async () => {
    const storage = new MemoryEventStorage()
    const bus = await busOf({ broker: new MemoryBroker(), storage })
    await bus.publish(Counted.create({ n: 0 }))
    await storage.deleteStream('counter-0')
    const publishing = bus.publish([Counted.create({ n: 1 }), Counted.create({ n: 2 }), Noted.create({ n: 3 })])
    const error = (await publishing.catch((thrown: unknown) => thrown)) as PublishError
    expect(error).toBeInstanceOf(PublishError)
    expect(error.failed.map(({ index, error: { name } }) => [index, name])).toEqual([[1, 'StreamDeletedError']])
    expect(await kept(storage)).toEqual(['counter-1 Counted'])
  })
})

describe('the relay', () => {
  function flaky(broker: Broker, refuse: (batch: readonly Outgoing[]) => Error | undefined): Broker {
    return new Proxy(broker, {
      get: (of, name) => {
        const value: unknown = Reflect.get(of, name)
        if (name !== 'publish') return typeof value === 'function' ? (value.bind(of) as unknown) : value
        return async (batch: readonly Outgoing[]) => {
          const error = refuse(batch)
          if (error !== undefined) throw error
          await of.publish(batch)
        }
      },
    })
  }

  test('waits while the broker is away, and then brings all in order, once', async () => {
    const storage = new MemoryEventStorage()
    let away = true
    const broker = flaky(new MemoryBroker(), () => (away ? new Error('away') : undefined))
    const keeping = new KeepingBroker({ broker, storage, logger })
    const bus = new EventBus(keeping, { logger })
    ended.push(() => bus.stop())
    await bus.start()
    const got: number[] = []
    await bus.subscribe(Counted, ({ data }) => void got.push(data.n), { group: 'g' })
    for (let n = 0; n < 10; n++) await bus.publish(Counted.create({ n: 2 * n }))
    await vi.waitFor(() => expect(keeping.relay?.stats()).toMatchObject({ failing: 'away', active: true, moved: 0 }), {
      timeout: 20_000,
    })
    away = false
    await vi.waitFor(() => expect(got).toHaveLength(10), { timeout: 20_000 })
    expect(got).toEqual(got.toSorted((a, b) => a - b))
    expect(keeping.relay?.stats()).toMatchObject({ moved: 10, refused: 0 })
    expect(keeping.relay?.stats().failing).toBeUndefined()
  })

  test('is waited for by an idle bus, whose metrics and health tell how many wait, how long and why', async () => {
    const storage = new MemoryEventStorage()
    let away = true
    const broker = flaky(new MemoryBroker(), () => (away ? new Error('away') : undefined))
    const bus = new EventBus(new KeepingBroker({ broker, storage, logger }), { logger, store: storage })
    ended.push(() => bus.stop())
    await bus.start()
    const got: number[] = []
    await bus.subscribe(
      Counted,
      async ({ data }) => {
        // What a handler keeps is waited for, too.
        if (data.n < 6) await bus.publish(Counted.create({ n: data.n + 6 }))
        got.push(data.n)
      },
      { group: 'g' },
    )
    const own = event('Own', typed<{ n: number }>(), { topic: 'busbar.snapshots', subject: () => 'snapshot-1' })
    await bus.publish([own.create({ n: 0 }), ...[0, 2, 4].map((n) => Counted.create({ n }))])
    await vi.waitFor(async () => expect((await bus.metrics()).relay?.failing).toBe('away'), { timeout: 20_000 })
    const waiting = { unsent: 3, refused: 0, moved: 0, failing: 'away', oldestUnsentAge: expect.any(Number) as number }
    await vi.waitFor(async () => expect((await bus.metrics()).relay?.oldestUnsentAge).toBeGreaterThan(0))
    expect((await bus.metrics()).relay).toEqual(waiting)
    expect(await bus.health()).toMatchObject({ status: 'up', relay: waiting })
    await expect(bus.idle({ timeout: 100 })).rejects.toThrow(/the event store has 3 to hand on \(away\)/)
    away = false
    await bus.idle()
    expect(got.toSorted((one, other) => one - other)).toEqual([0, 2, 4, 6, 8, 10])
    expect((await bus.metrics()).relay).toEqual({ unsent: 0, refused: 0, moved: 6, oldestUnsentAge: 0 })
  })

  test('of another process is waited for as well; where the append publishes there is none', async () => {
    const storage = new MemoryEventStorage()
    const broker = new MemoryBroker()
    const bus = await busOf({ broker, storage, relay: false })
    await bus.publish(Counted.create({ n: 0 }))
    await expect(bus.idle({ timeout: 100 })).rejects.toThrow(/the event store has 1 to hand on/)
    await busOf({ broker, storage })
    await bus.idle()
    const file = new SqliteBroker({ file: join(folder, 'one.db'), logger })
    const alone = await busOf({ broker: file, storage: new SqliteEventStorage({ broker: file }) })
    await alone.publish(Counted.create({ n: 0 }))
    expect(await alone.metrics()).not.toHaveProperty('relay')
  })

  test('keeps to itself what Busbar keeps for itself, such as snapshots', async () => {
    const storage = new MemoryEventStorage()
    const broker = new MemoryBroker()
    const published: string[] = []
    const keeping = new KeepingBroker({
      broker: flaky(broker, (batch) => void published.push(...batch.map(({ topic }) => topic))),
      storage,
      logger,
    })
    const bus = new EventBus(keeping, { logger })
    ended.push(() => bus.stop())
    await bus.start()
    const own = event('Own', typed<{ n: number }>(), { topic: 'busbar.snapshots', subject: () => 'snapshot-1' })
    await bus.publish([own.create({ n: 1 }), Counted.create({ n: 0 })])
    await vi.waitFor(() => expect(keeping.relay?.stats().moved).toBe(1), { timeout: 20_000 })
    expect(published).toEqual(['events'])
    expect((await storage.head()).count).toBe(2)
  })

  test('goes on where the one before was; of several only one moves', async () => {
    const storage = new MemoryEventStorage()
    const shared = new MemoryBroker()
    const unstoppable = new Proxy(storage, {
      get: (of, name) => {
        const value: unknown = name === 'stop' ? async () => {} : Reflect.get(of, name)
        return typeof value === 'function' ? (value.bind(of) as unknown) : value
      },
    })
    const keep = new Proxy(shared, {
      get: (of, name) => {
        const value: unknown = name === 'stop' ? async () => {} : Reflect.get(of, name)
        return typeof value === 'function' ? (value.bind(of) as unknown) : value
      },
    })
    const make = (): KeepingBroker => new KeepingBroker({ broker: keep, storage: unstoppable, logger })
    const [one, two] = [make(), make()]
    await Promise.all([one.start(), two.start()])
    const reader = new EventBus(keep, { logger })
    await reader.start()
    const got: number[] = []
    await reader.subscribe(Counted, ({ data }) => void got.push(data.n), { group: 'g' })
    const bus = new EventBus(one, { logger })
    await bus.publish([0, 2, 4].map((n) => Counted.create({ n })))
    await vi.waitFor(() => expect(got).toEqual([0, 2, 4]), { timeout: 20_000 })
    expect([one, two].filter(({ relay }) => relay?.stats().active)).toHaveLength(1)
    await one.stop()
    const other = new EventBus(two, { logger })
    await other.publish([6, 8].map((n) => Counted.create({ n })))
    await vi.waitFor(() => expect(got).toEqual([0, 2, 4, 6, 8]), { timeout: 20_000 })
    await two.stop()
  })
})

test('killed with -9 between store and broker, nothing is lost and nothing is published that was not stored', async () => {
  const [events, file] = [join(folder, 'events.db'), join(folder, 'broker.db')]
  const worker = fileURLToPath(new URL('fixtures/worker.ts', import.meta.url))
  const reader = new EventBus(new SqliteBroker({ file, logger }), { logger })
  ended.push(() => reader.stop())
  await reader.start()
  const seen = new Map<string, Set<string>>()
  const order = new Map<string, number[]>()
  await reader.subscribe(
    'Counted',
    ({ id, subject = '', data }) => {
      const ids = seen.get(subject) ?? new Set<string>()
      seen.set(subject, ids)
      // What was on its way at a kill comes twice, with its id.
      if (ids.has(id)) return
      ids.add(id)
      order.set(subject, [...(order.get(subject) ?? []), (data as { n: number }).n])
    },
    { group: 'g', from: 'earliest', topic: 'events' },
  )
  const confirmed = new Map<string, number>()
  const running = new Set<ChildProcess>()
  ended.push(() => running.forEach((child) => child.kill('SIGKILL')))
  for (let round = 0; round < 6; round++) {
    const name = `w${round}`
    const child = fork(worker, [events, file, name], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    running.add(child)
    child.on('message', (n: number) => void confirmed.set(name, n))
    await vi.waitFor(() => expect(confirmed.get(name) ?? 0).toBeGreaterThan(60 + 37 * round), {
      timeout: 60_000,
      interval: 1,
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  // A relay that is not killed brings the rest.
  const storage = new SqliteEventStorage({ file: events, logger })
  const last = new KeepingBroker({ broker: new SqliteBroker({ file, logger }), storage, logger })
  ended.push(() => last.stop())
  await last.start()
  const stored = new Set<string>()
  for await (const { message } of storage.readAll()) stored.add(message.id)
  const handled = (): Set<string> => new Set([...seen.values()].flatMap((ids) => [...ids]))
  await vi.waitFor(() => expect(handled().size).toBe(stored.size), { timeout: 60_000 })
  expect(handled()).toEqual(stored)
  for (const [subject, numbers] of order) {
    expect(numbers, subject).toEqual(numbers.toSorted((a, b) => a - b))
    const [name = '', part] = subject.split('-')
    expect(
      numbers.filter((n) => n < (confirmed.get(name) ?? 0)),
      subject,
    ).toHaveLength(Math.floor((confirmed.get(name) ?? 0) / 3))
    expect(Number(part)).toBe((numbers[0] ?? 0) % 3)
  }
})
