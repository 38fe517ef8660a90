import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Broker, type Outgoing, UnsupportedError } from '../broker/index.ts'
import { EventBus, silentLogger } from '../bus/index.ts'
import { createEventBus } from '../index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { ConfigurationError, event, typed, ValidationError } from '../message/index.ts'
import { SqliteBroker } from '../sqlite/index.ts'
import { fromNodeSqlite, TransactionClosedError } from '../transaction/index.ts'
import { outbox, relayOutbox } from './index.ts'

const logger = silentLogger
const OrderPlaced = event('OrderPlaced', typed<{ n: number; of?: string }>(), { key: ({ of = 'one' }) => of })
const Audited = event('Audited', typed<{ n: number }>(), { topic: 'audit' })

let folder: string
let db: DatabaseSync
const ended: (() => unknown)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'busbar-outbox-'))
  db = new DatabaseSync(join(folder, 'app.db'), { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE orders (n INTEGER PRIMARY KEY)')
})
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
  db.close()
  rmSync(folder, { recursive: true, force: true })
})

const appDatabase = (options: Partial<ConstructorParameters<typeof SqliteBroker>[0]> = {}): SqliteBroker =>
  new SqliteBroker({ file: join(folder, 'app.db'), logger, ...options })

async function busWith(to: Broker, settings: { relay?: boolean } = {}): Promise<EventBus> {
  const bus = new EventBus(to, {
    source: 'shop',
    logger,
    outbox: outbox({ broker: appDatabase(), logger, ...settings }),
  })
  ended.push(() => bus.stop({ deadline: 2_000 }))
  await bus.start()
  return bus
}

/** What a broker that others read is given. */
async function target(): Promise<{ broker: SqliteBroker; got: { n: number; topic: string; metadata: object }[] }> {
  const broker = new SqliteBroker({ file: join(folder, 'broker.db'), logger })
  const reader = new EventBus(new SqliteBroker({ file: join(folder, 'broker.db'), logger }), { logger })
  ended.push(() => reader.stop({ deadline: 1_000 }))
  const got: { n: number; topic: string; metadata: object }[] = []
  await reader.start()
  const options = { group: 'got', topic: ['events', 'audit'] }
  await reader.subscribe(
    '*',
    ({ data, metadata }, { topic }) => void got.push({ ...(data as { n: number }), topic, metadata }),
    options,
  )
  return { broker, got }
}

/** A broker whose publish is another's, seen or spoiled on the way. */
function through(broker: Broker, publish: (batch: readonly Outgoing[]) => Promise<void>): Broker {
  return new Proxy(broker, {
    get: (of, name) => {
      if (name === 'publish') return publish
      if (name === 'publishIn') return undefined
      const value: unknown = Reflect.get(of, name)
      if (name === 'capabilities') return { ...(value as object), transactions: false }
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
}

async function inTransaction(work: () => Promise<unknown>, end: 'COMMIT' | 'ROLLBACK' = 'COMMIT'): Promise<void> {
  db.exec('BEGIN IMMEDIATE')
  await work()
  db.exec(end)
}

const tx = () => fromNodeSqlite(db)

test('an event leaves with the order that it is about, or not at all', async () => {
  const { broker, got } = await target()
  const bus = await busWith(broker)
  const place = (n: number, end: 'COMMIT' | 'ROLLBACK'): Promise<void> =>
    inTransaction(async () => {
      db.prepare('INSERT INTO orders (n) VALUES (?)').run(n)
      await bus.publish(OrderPlaced.create({ n }, { tenantId: 't' }), { tx: tx() })
    }, end)
  await place(1, 'COMMIT')
  await place(2, 'ROLLBACK')
  await place(3, 'COMMIT')
  await expect.poll(() => got.map(({ n }) => n), { timeout: 30_000 }).toEqual([1, 3])
  expect(
    db
      .prepare('SELECT n FROM orders')
      .all()
      .map(({ n }) => n),
  ).toEqual([1, 3])
  // As if it had been published straight away.
  expect(got[0]?.metadata).toEqual({ tenantId: 't', correlationId: expect.any(String) })
})

test('topics, several messages, delays and middleware are those of any publish, and without tx it goes straight to the broker', async () => {
  const { broker, got } = await target()
  const straight: string[] = []
  const watched = through(broker, async (batch) => {
    straight.push(...batch.map(({ message: { type } }) => type))
    await broker.publish(batch)
  })
  const bus = await busWith(watched, { relay: false })
  bus.use({ publish: (message, next) => next({ ...message, metadata: { ...message.metadata, userId: 'u' } }) })
  await inTransaction(async () => {
    await bus.publish([OrderPlaced.create({ n: 1 }), Audited.create({ n: 2 })], { tx: tx() })
    await bus.publish(OrderPlaced.create({ n: 3 }), { tx: tx(), delay: 50 })
  })
  await bus.publish(OrderPlaced.create({ n: 4 }))
  expect(straight).toEqual(['OrderPlaced'])
  const from = appDatabase()
  await from.start()
  ended.push(() => from.stop())
  const relay = await relayOutbox({ from, to: broker, logger })
  ended.push(() => relay.stop())
  await expect.poll(() => got.length, { timeout: 30_000 }).toBe(4)
  const found = new Map(got.map(({ n, topic }) => [n, topic]))
  expect(found).toEqual(
    new Map([
      [1, 'events'],
      [2, 'audit'],
      [3, 'events'],
      [4, 'events'],
    ]),
  )
  expect(got.every(({ metadata }) => (metadata as { userId: string }).userId === 'u')).toBe(true)
})

test('a transaction publishes while the broker is away, also in a process that starts then; later all of it arrives', async () => {
  const { broker, got } = await target()
  let away = true
  const gate = Promise.withResolvers<void>()
  const distant = new Proxy(
    through(broker, (batch) => (away ? Promise.reject(new Error('away')) : broker.publish(batch))),
    {
      get: (of, name) =>
        name === 'start' ? () => gate.promise.then(() => broker.start()) : (Reflect.get(of, name) as unknown),
    },
  )
  const bus = new EventBus(distant, { logger, outbox: outbox({ broker: appDatabase(), logger }) })
  ended.push(() => bus.stop({ deadline: 2_000 }))
  const starting = bus.start()
  // A transaction that had the lock before would keep the outbox from opening.
  const count = (table: string): unknown => db.prepare(`SELECT COUNT(*) AS count FROM ${table}`).get()?.['count']
  const isOpen = (): boolean => {
    try {
      return Number(count('busbar_cursors')) > 0 && count('busbar_members') === 0
    } catch {
      return false
    }
  }
  await expect.poll(isOpen, { timeout: 30_000 }).toBe(true)
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 1 }), { tx: tx() }))
  gate.resolve()
  await starting
  await expect
    .poll(async () => (await bus.metrics()).outbox, { timeout: 30_000 })
    .toMatchObject({ unsent: 1, failing: 'away' })
  away = false
  await expect.poll(() => got.map(({ n }) => n), { timeout: 30_000 }).toEqual([1])
})

test('metrics tell how many are unsent and how old the oldest is', async () => {
  const { broker, got } = await target()
  let away = true
  const bus = await busWith(
    through(broker, (batch) => (away ? Promise.reject(new Error('away')) : broker.publish(batch))),
  )
  expect((await bus.metrics()).outbox).toEqual({ unsent: 0, oldestUnsentAge: 0, refused: 0, moved: 0 })
  const old = { ...OrderPlaced.create({ n: 1 }), time: new Date(Date.now() - 60_000) }
  await inTransaction(() => bus.publish([old, OrderPlaced.create({ n: 2 })], { tx: tx() }))
  await expect
    .poll(async () => (await bus.metrics()).outbox, { timeout: 30_000 })
    .toMatchObject({ unsent: 2, failing: 'away' })
  const { oldestUnsentAge = 0 } = (await bus.metrics()).outbox ?? {}
  expect(oldestUnsentAge).toBeGreaterThanOrEqual(60_000)
  away = false
  await expect.poll(() => got.length, { timeout: 30_000 }).toBe(2)
  await expect
    .poll(async () => (await bus.metrics()).outbox, { timeout: 30_000 })
    .toEqual({ unsent: 0, oldestUnsentAge: 0, refused: 0, moved: 2 })
})

test('an idle bus has waited for what is committed in the outbox, and health tells what is not sent', async () => {
  let away = true
  const got: number[] = []
  const memory = new MemoryBroker()
  const bus = await busWith(
    through(memory, (batch) => (away ? Promise.reject(new Error('away')) : memory.publish(batch))),
  )
  await bus.subscribe(OrderPlaced, ({ data }) => void got.push(data.n), { group: 'g' })
  for (let n = 0; n < 3; n++) {
    db.exec('BEGIN IMMEDIATE')
    await bus.publish(OrderPlaced.create({ n }), { tx: fromNodeSqlite(db) })
    db.exec('COMMIT')
  }
  await expect(bus.idle({ timeout: 100 })).rejects.toThrow(/the outbox has 3 to hand on/)
  expect(await bus.health()).toMatchObject({ status: 'up', outbox: { unsent: 3 } })
  away = false
  await bus.idle()
  expect(got).toEqual([0, 1, 2])
  expect(await bus.health()).toMatchObject({ outbox: { unsent: 0, moved: 3 } })
})

test('a message that the broker refuses for a while holds up its own key and no other', async () => {
  const { broker, got } = await target()
  let refusing = true
  const picky = through(broker, async (batch) => {
    if (refusing && batch.some(({ message: { key } }) => key === 'bad')) throw new Error('not now')
    await broker.publish(batch)
  })
  const bus = await busWith(picky)
  for (const n of [1, 2, 3]) {
    await inTransaction(() =>
      bus.publish([OrderPlaced.create({ n, of: 'bad' }), OrderPlaced.create({ n: n * 10, of: 'good' })], { tx: tx() }),
    )
  }
  await expect.poll(() => got.map(({ n }) => n), { timeout: 30_000 }).toEqual([10, 20, 30])
  expect((await bus.metrics()).outbox).toMatchObject({ unsent: 3, failing: 'not now' })
  refusing = false
  await expect.poll(() => got.map(({ n }) => n), { timeout: 30_000 }).toEqual([10, 20, 30, 1, 2, 3])
})

test('several relays at once move each message once, in the order of its key', async () => {
  const { broker, got } = await target()
  const buses = [await busWith(broker), await busWith(new SqliteBroker({ file: join(folder, 'broker.db'), logger }))]
  for (let n = 0; n < 100; n++) {
    const [bus = buses[0]] = [buses[n % 2]]
    await inTransaction(() => (bus as EventBus).publish(OrderPlaced.create({ n, of: `k${n % 7}` }), { tx: tx() }))
  }
  await expect.poll(() => got.length, { timeout: 30_000 }).toBe(100)
  for (let key = 0; key < 7; key++) {
    const its = got.map(({ n }) => n).filter((n) => n % 7 === key)
    expect(its).toEqual(its.toSorted((a, b) => a - b))
  }
  expect(new Set(got.map(({ n }) => n)).size).toBe(100)
})

test('what is relayed is deleted in time, what is not stays, however long no relay runs', async () => {
  const { broker, got } = await target()
  const kept = (): number => Number(db.prepare('SELECT COUNT(*) AS count FROM busbar_messages').get()?.['count'])
  const retention = { maxAge: 100 }
  const bus = new EventBus(broker, {
    logger,
    outbox: outbox({ broker: appDatabase({ retention }), relay: false, logger }),
  })
  ended.push(() => bus.stop({ deadline: 2_000 }))
  await bus.start()
  for (const n of [1, 2]) await inTransaction(() => bus.publish(OrderPlaced.create({ n }), { tx: tx() }))
  // Long enough for several rounds of deleting: a note of the log's end is that old.
  const notes = (): unknown =>
    db.prepare('SELECT MIN(at) AS at FROM busbar_notes WHERE at > ?').get(Date.now() - 60_000)?.['at']
  const first = Number(notes())
  await expect.poll(() => Number(notes()) > first, { timeout: 30_000 }).toBe(true)
  expect(kept()).toBe(2)
  const from = appDatabase({ retention })
  await from.start()
  ended.push(() => from.stop())
  const relay = await relayOutbox({ from, to: broker, logger })
  ended.push(() => relay.stop())
  await expect.poll(() => got.length, { timeout: 30_000 }).toBe(2)
  await expect.poll(kept, { timeout: 30_000 }).toBe(0)
})

test('a message that is invalid, or a transaction that is over, leaves nothing, and the rest is committed', async () => {
  const { broker, got } = await target()
  const bus = await busWith(broker)
  const { z } = await import('zod')
  const Checked = event('Checked', z.object({ n: z.number() }))
  await inTransaction(async () => {
    const both = [OrderPlaced.create({ n: 1 }), Checked.create({ n: 'one' as never })]
    await expect(bus.publish(both, { tx: tx() })).rejects.toThrow(ValidationError)
    await bus.publish(OrderPlaced.create({ n: 2 }), { tx: tx() })
  })
  await expect(bus.publish(OrderPlaced.create({ n: 3 }), { tx: tx() })).rejects.toThrow(TransactionClosedError)
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 4 }), { tx: tx() }))
  await expect.poll(() => got.map(({ n }) => n), { timeout: 30_000 }).toEqual([2, 4])
})

test('a bus over a database needs no outbox', async () => {
  const bus = await createEventBus(`sqlite:${join(folder, 'app.db')}`, { logger })
  ended.push(() => bus.stop({ deadline: 1_000 }))
  const got: number[] = []
  await bus.subscribe(OrderPlaced, ({ data }) => void got.push(data.n), { group: 'g' })
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 1 }), { tx: tx() }))
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 2 }), { tx: tx() }), 'ROLLBACK')
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 3 }), { tx: tx() }))
  await expect.poll(() => got, { timeout: 30_000 }).toEqual([1, 3])
})

test('an outbox comes by configuration, and by the environment', async () => {
  const url = `sqlite:${join(folder, 'app.db')}`
  const bus = await createEventBus({ broker: 'memory:', outbox: url, logger })
  ended.push(() => bus.stop({ deadline: 1_000 }))
  const got: number[] = []
  await bus.subscribe(OrderPlaced, ({ data }) => void got.push(data.n), { group: 'g' })
  await inTransaction(() => bus.publish(OrderPlaced.create({ n: 1 }), { tx: tx() }))
  await expect.poll(() => got, { timeout: 30_000 }).toEqual([1])
  const { EventBusFactory } = await import('../index.ts')
  const byEnvironment = await EventBusFactory.create({}, { BUSBAR_URL: 'memory:', BUSBAR_OUTBOX: url })
  ended.push(() => byEnvironment.stop({ deadline: 1_000 }))
  expect((await byEnvironment.start().then(() => byEnvironment.metrics())).outbox).toMatchObject({ unsent: 0 })
})

test('what cannot be is refused with what would be right', async () => {
  expect(() => outbox({ broker: new MemoryBroker() })).toThrow(ConfigurationError)
  expect(() => outbox({ broker: new SqliteBroker({ file: ':memory:' }) })).toThrow(/sqlite:/)
  expect(() => outbox({ broker: appDatabase(), name: 'a b' })).toThrow(/without blanks/)
  await expect(createEventBus({ broker: 'memory:', outbox: { relay: false } as never })).rejects.toThrow(
    /outbox\.broker/,
  )
  await expect(createEventBus({ broker: 'memory:', outbox: { broker: 'memory:', way: 1 } as never })).rejects.toThrow(
    /unknown option 'outbox\.way'; known here: broker, relay/,
  )
  const bus = await createEventBus('memory:', { logger })
  ended.push(() => bus.stop())
  await expect(bus.publish(OrderPlaced.create({ n: 1 }), { tx: tx() })).rejects.toThrow(UnsupportedError)
  await expect(bus.publish(OrderPlaced.create({ n: 1 }), { tx: tx() })).rejects.toThrow(/outbox/)
  const able = await busWith(new MemoryBroker())
  await expect(able.publish(OrderPlaced.create({ n: 1 }), { tx: db as never })).rejects.toThrow(/fromNodeSqlite/)
})
