import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EventBus, silentLogger, type SubscribeOptions } from '../bus/index.ts'
import { createEventBus } from '../index.ts'
import { command, ConfigurationError, event, query, typed } from '../message/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { fromNodeSqlite } from '../transaction/index.ts'
import { inbox, type InboxTransaction, sqliteInbox } from './index.ts'

const logger = silentLogger
const OrderPlaced = event('OrderPlaced', typed<{ n: number }>())
const Shipped = event('Shipped', typed<{ n: number }>())

let folder: string
let file: string
let db: DatabaseSync
const ended: (() => unknown)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'busbar-inbox-'))
  file = join(folder, 'app.db')
  db = new DatabaseSync(file, { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE effects (n INTEGER)')
})
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
  db.close()
  rmSync(folder, { recursive: true, force: true })
})

const retry = { retries: 0, redeliveries: [] }

async function memoryBus(): Promise<EventBus> {
  const bus = new EventBus(new MemoryBroker(), { logger, retry })
  ended.push(() => bus.stop({ deadline: 1_000 }))
  await bus.start()
  return bus
}

const effects = (): unknown[] =>
  db
    .prepare('SELECT n FROM effects ORDER BY n')
    .all()
    .map(({ n }) => n)
const entries = (): unknown[] =>
  db
    .prepare('SELECT grp, message FROM busbar_inbox ORDER BY grp')
    .all()
    .map((row) => ({ ...row }))
const write = (tx: InboxTransaction<DatabaseSync>, n: number): unknown =>
  tx.client.prepare('INSERT INTO effects (n) VALUES (?)').run(n)

test('a message that comes again is acked without a run, and each group has its own memory of it', async () => {
  const bus = await memoryBus()
  const runs = { a: 0, b: 0 }
  for (const group of ['a', 'b'] as const) {
    await bus.subscribe(
      OrderPlaced,
      ({ data: { n } }, { tx }) => {
        runs[group]++
        write(tx, n)
      },
      { group, inbox: sqliteInbox(file) },
    )
  }
  const message = OrderPlaced.create({ n: 1 })
  await bus.publish(message)
  await bus.idle()
  await bus.publish([message, message])
  await bus.idle()
  expect(runs).toEqual({ a: 1, b: 1 })
  expect(effects()).toEqual([1, 1])
  expect(entries()).toEqual([
    { grp: 'a', message: message.id },
    { grp: 'b', message: message.id },
  ])
  expect(bus.subscriptions().map(({ handled }) => handled)).toEqual([3, 3])
})

test('a handler that fails leaves nothing, and its redrive runs; the redrive of one that had succeeded does not', async () => {
  const bus = await memoryBus()
  let failing = true
  let runs = 0
  await bus.subscribe(
    OrderPlaced,
    ({ data: { n } }, { tx }) => {
      runs++
      write(tx, n)
      if (failing) throw new Error('no')
    },
    { group: 'g', inbox: sqliteInbox(file) },
  )
  const message = OrderPlaced.create({ n: 1 })
  await bus.publish(message)
  await bus.idle()
  expect(await bus.deadLetters.count()).toBe(1)
  expect([effects(), entries()]).toEqual([[], []])
  failing = false
  await bus.deadLetters.redrive({ group: 'g' })
  await expect.poll(effects).toEqual([1])
  await bus.idle()
  expect(runs).toBe(2)
  await bus.publish(message)
  await bus.idle()
  expect(runs).toBe(2)
})

test('two deliveries of one message at once run it once, in two processes that share the database', async () => {
  const inboxes = [sqliteInbox(file), sqliteInbox(file)]
  for (const one of inboxes) {
    await one.start()
    ended.push(() => one.stop())
  }
  let runs = 0
  const outcomes = await Promise.all(
    [...inboxes, ...inboxes].map((one) =>
      one.once({ group: 'g', id: 'm' }, async (tx) => {
        runs++
        await new Promise((resolve) => setTimeout(resolve, 30))
        write(tx, 1)
      }),
    ),
  )
  expect(outcomes.toSorted()).toEqual(['duplicate', 'duplicate', 'duplicate', 'handled'])
  expect(runs).toBe(1)
  expect(effects()).toEqual([1])
})

test('where the first of two at once fails, the second runs', async () => {
  const one = sqliteInbox(file)
  await one.start()
  ended.push(() => one.stop())
  const failed = one.once({ group: 'g', id: 'm' }, async (tx) => {
    write(tx, 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    throw new Error('no')
  })
  const second = one.once({ group: 'g', id: 'm' }, async (tx) => write(tx, 2))
  await expect(failed).rejects.toThrow('no')
  await expect(second).resolves.toBe('handled')
  expect(effects()).toEqual([2])
})

test('what a handler publishes with its transaction is there exactly if it succeeds, and is caused by its message', async () => {
  const bus = await createEventBus(`sqlite:${file}`, { logger, retry: { retries: 2, minDelay: 1, maxDelay: 1 } })
  ended.push(() => bus.stop({ deadline: 2_000 }))
  const shipped: { n: number; causationId: string | undefined }[] = []
  await bus.subscribe(Shipped, ({ data, metadata: { causationId } }) => void shipped.push({ n: data.n, causationId }), {
    group: 'shipped',
  })
  await bus.subscribe(
    OrderPlaced,
    async ({ data: { n } }, { tx, publish, attempt }) => {
      write(tx, n)
      await publish(Shipped.create({ n: n * 10 + attempt }), { tx })
      if (attempt === 1) throw new Error('fails the first time')
    },
    { group: 'shipping', inbox: sqliteInbox(file) },
  )
  const message = OrderPlaced.create({ n: 1 })
  await bus.publish(message)
  await expect.poll(() => shipped, { timeout: 30_000 }).toEqual([{ n: 12, causationId: message.id }])
  expect(effects()).toEqual([1])
})

test('old entries are deleted in small pieces, young ones are kept', async () => {
  let now = 1_000
  const one = sqliteInbox(file, { retention: 100, clock: { now: () => now } })
  await one.start()
  ended.push(() => one.stop())
  db.exec(`INSERT INTO busbar_inbox SELECT 'g', 'old' || value, 1 FROM (
    WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1300) SELECT value FROM n)`)
  await one.once({ group: 'g', id: 'young' }, async () => {})
  await expect.poll(() => entries(), { timeout: 30_000 }).toEqual([{ grp: 'g', message: 'young' }])
  now = 1_101
  await expect.poll(() => entries(), { timeout: 30_000 }).toEqual([])
})

test('an inbox of any library, commands, and several handlers of one group', async () => {
  const bus = await memoryBus()
  const transaction = async (work: (client: DatabaseSync) => Promise<unknown>): Promise<void> => {
    db.exec('BEGIN IMMEDIATE')
    try {
      await work(db)
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }
  const handled = inbox({ transaction, toTransaction: fromNodeSqlite, table: 'handled' })
  const Ship = command('Ship', typed<{ n: number }>())
  await bus.subscribe(Ship, ({ data: { n } }, { tx }) => void write(tx, n), { inbox: handled })
  const ship = Ship.create({ n: 3 })
  await bus.send(ship)
  await bus.send(ship)
  await bus.idle()
  expect(effects()).toEqual([3])
  expect(
    db
      .prepare('SELECT grp FROM handled')
      .all()
      .map(({ grp }) => grp),
  ).toEqual(['command.Ship'])
})

test('what cannot be is refused with what would be right', async () => {
  const bus = await memoryBus()
  const one = sqliteInbox(file)
  const broadcast = bus.subscribe(OrderPlaced, () => {}, { broadcast: true, inbox: one } as SubscribeOptions)
  await expect(broadcast).rejects.toThrow(ConfigurationError)
  await expect(broadcast).rejects.toThrow(/'inbox' and 'broadcast' exclude each other/)
  const Ask = query('Ask', typed<{ n: number }>(), typed<number>())
  await expect(bus.subscribe(Ask, () => 1, { inbox: one })).rejects.toThrow(/cannot have an inbox/)
  expect(() => sqliteInbox(file, { table: 'a; DROP TABLE b' })).toThrow(/table must be a name/)
  expect(() => sqliteInbox(file, { retention: -1 })).toThrow(/retention/)
  const nowhere = bus.subscribe(OrderPlaced, () => {}, { group: 'g', inbox: sqliteInbox(join(folder, 'no', 'no.db')) })
  await expect(nowhere).rejects.toThrow(/unable to open/)
})
