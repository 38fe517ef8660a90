/** Events in Postgres: the order while writers commit in another order than they began in, groups of appends, the log that they share. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import {
  type Append,
  ConcurrencyError,
  DuplicateEventError,
  type NewEvent,
  type StoredEvent,
  StreamDeletedError,
} from '../store/index.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { collector, message, out, spec, until, World } from './fixtures/world.ts'
import { PostgresEventStorage } from './index.ts'

let folder: string
let server: OwnServer
let world: World

// One of its own: a transaction that stays open holds back the readers of every store on its server, and they are not patient for ever.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-postgres-'))
  server = await startServer('postgres', { dataDir: join(folder, 'postgres') })
})

beforeEach(() => (world = new World(() => server.url)))
afterEach(() => world.end())

afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

function event(body: string, more: Partial<NewEvent['message']> = {}): NewEvent {
  return { topic: 'events', message: message(body, more) }
}

function to(stream: string, events: readonly NewEvent[], expected: Append['expected'] = 'any'): Append[] {
  return [{ stream, events, expected }]
}

async function bodies(events: AsyncIterable<StoredEvent>): Promise<unknown[]> {
  const read: unknown[] = []
  for await (const one of events) read.push(one.message.body)
  return read
}

async function storageOn(): Promise<PostgresEventStorage> {
  const storage = new PostgresEventStorage({ broker: await world.broker() })
  await storage.start()
  return storage
}

/** A transaction as `pg` gives one: begun by whoever uses it. */
function transaction(client: Client): Transaction {
  return {
    dialect: 'postgres',
    execute: async (sql, params = []) => {
      let count = 0
      const text = sql.replace(/\?/g, () => `$${++count}`)
      return (await client.query<Record<string, unknown>>(text, [...params])).rows
    },
  }
}

/** A plain connection with the search path that everybody has. */
async function begin(): Promise<{ readonly client: Client; readonly tx: Transaction }> {
  const client = await world.client()
  await client.query('SET search_path TO DEFAULT')
  await client.query('BEGIN')
  return { client, tx: transaction(client) }
}

test('while a transaction is open nothing behind it is read, and then everything in order; no reader passes anything over', async () => {
  const storage = await storageOn()
  await storage.append(to('order-0', [event('before')]))
  const { client, tx } = await begin()
  await storage.append(to('order-1', [event('held')]), { tx })
  await storage.append(to('order-2', [event('after')]))
  expect(await bodies(storage.readAll())).toEqual(['before'])
  expect(await bodies(storage.readStream('order-2')), 'the stream itself is there').toEqual(['after'])
  let woken = 0
  await storage.listen(() => woken++)
  await client.query('COMMIT')
  const wokenBefore = woken
  await until(async () => (await bodies(storage.readAll())).length === 3)
  expect(await bodies(storage.readAll())).toEqual(['before', 'held', 'after'])
  await until(() => woken > wokenBefore, 'a wake after the commit')
})

test('a stream is in the order of its revisions also where a transaction that began earlier appends later', async () => {
  const storage = await storageOn()
  const { client, tx } = await begin()
  // It has its place in the order of transactions, and other streams of it are behind nothing.
  await tx.execute('SELECT pg_current_xact_id()')
  await storage.append(to('order-1', [event('0')], 'none'))
  await storage.append([...to('order-1', [event('1')], 0), ...to('order-2', [event('2')], 'none')], { tx })
  await client.query('COMMIT')
  await until(async () => (await bodies(storage.readAll())).length === 3)
  expect(await bodies(storage.readAll())).toEqual(['0', '1', '2'])
  expect(await bodies(storage.readStream('order-1'))).toEqual(['0', '1'])
})

test('of appends that are called at once each has its own outcome, also where an id is taken', async () => {
  const storage = await storageOn()
  const known = event('known')
  await storage.append(to('a-1', [known], 'none'))
  await storage.append(to('gone-1', [event('gone')]))
  await storage.deleteStream('gone-1', { by: 'ada' })
  const good = Array.from({ length: 40 }, (_, n) =>
    storage.append(to(`many-${n}`, [event(`m${n}`), event('second')], 'none')),
  )
  const outcomes = await Promise.allSettled([
    storage.append(to('a-1', [event('1')], 0)),
    storage.append(to('a-1', [event('late')], 0)),
    storage.append(to('a-1', [known], 'none')),
    storage.append(to('b-1', [event('x'), known])),
    storage.append(to('gone-1', [event('no')])),
    storage.append(to('c-1', [event('no')], 'exists')),
    storage.append(to('a-1', [event('2'), event('3')], 1)),
  ])
  expect((await Promise.all(good)).flat().every(({ revision }) => revision === 1)).toBe(true)
  const told = outcomes.map((one) => (one.status === 'fulfilled' ? one.value[0] : (one.reason as Error).constructor))
  expect(told).toMatchObject([
    { stream: 'a-1', revision: 1, repeated: false },
    ConcurrencyError,
    { stream: 'a-1', revision: 0, repeated: true },
    DuplicateEventError,
    StreamDeletedError,
    ConcurrencyError,
    { stream: 'a-1', revision: 3, repeated: false },
  ])
  expect(await bodies(storage.readStream('a-1'))).toEqual(['known', '1', '2', '3'])
  expect(await storage.info('gone-1')).toMatchObject({ deletedBy: 'ada' })
})

test('the events of a large append are in the order in which they were given', async () => {
  const storage = await storageOn()
  const given = Array.from({ length: 3_000 }, (_, n) => String(n))
  await storage.append(
    to(
      'large-1',
      given.map((body) => event(body)),
    ),
  )
  expect(await bodies(storage.readAll())).toEqual(given)
  expect(await bodies(storage.readStream('large-1'))).toEqual(given)
})

test('appended events reach the groups on the same schema in order by key; plain messages are no events; retention keeps events', async () => {
  const broker = await world.broker({ retention: { maxAge: 50 } })
  const storage = new PostgresEventStorage({ broker })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const { client, tx } = await begin()
  for (let n = 0; n < 20; n++) {
    await storage.append(to('order-1', [event(`e${n}`, { key: 'order-1' })], n === 0 ? 'none' : n - 1))
    await broker.publish([out(`p${n}`, 'plain')])
  }
  await storage.append(to('order-1', [event('e20', { key: 'order-1' }), event('e21', { key: 'order-1' })], 19), { tx })
  await sleep(50)
  expect(
    seen.some((one) => one.message.body === 'e20'),
    'nothing before the commit',
  ).toBe(false)
  await client.query('COMMIT')
  await until(() => seen.length === 42)
  const ofStream = seen.map((one) => String(one.message.body as string)).filter((body) => body.startsWith('e'))
  expect(ofStream).toEqual(Array.from({ length: 22 }, (_, n) => `e${n}`))
  expect(await storage.head()).toMatchObject({ count: 22 })
  await until(async () => ((await broker.metrics()).topics[0]?.depth ?? 0) === 22, 'the plain ones to be deleted')
  expect(await bodies(storage.readAll())).toHaveLength(22)
  expect(await broker.verify()).toEqual([])
})

test('each read goes by an index, however many other messages there are', async () => {
  const storage = await storageOn()
  await storage.append(to('order-1', [event('1')]))
  const client = await world.client()
  await client.query(
    'SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET plan_cache_mode TO force_generic_plan',
  )
  const events = 'FROM busbar_messages WHERE stream_revision >= 0'
  const plans: readonly (readonly [string, RegExp])[] = [
    [`SELECT * ${events} AND stream = 'a' ORDER BY stream_revision LIMIT 10`, /busbar_events_stream/],
    [`SELECT * ${events} AND position > '1' ORDER BY position LIMIT 10`, /busbar_events_order/],
    [`SELECT * ${events} AND type = 'a' AND position > '1' ORDER BY position LIMIT 10`, /busbar_events_type/],
    [`SELECT * ${events} AND category = 'a' AND position > '1' ORDER BY position LIMIT 10`, /busbar_events_category/],
    [
      `SELECT * ${events} AND correlation = 'a' AND position > '1' ORDER BY position LIMIT 10`,
      /busbar_events_correlation/,
    ],
    [
      `SELECT * FROM busbar_messages WHERE stream IS NOT NULL AND id = ANY (ARRAY(SELECT json_array_elements_text('["a"]'::json)))`,
      /busbar_events_id/,
    ],
  ]
  for (const [query, index] of plans) {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${query}`)
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).toMatch(index)
    expect(plan).not.toMatch(/Seq Scan|Sort/)
  }
})

test('an inline function finds the tables of the user as any connection does', async () => {
  const storage = await storageOn()
  const client = await world.client()
  const table = `inline_${world.schema}`
  await client.query(`CREATE TABLE public.${table} (id text, flag boolean)`)
  try {
    await storage.append(to('order-1', [event('1')]), {
      inline: async (tx, stored) => {
        await tx.execute(`INSERT INTO ${table} VALUES (?, true)`, [stored[0]?.stream ?? null])
      },
    })
    expect((await client.query(`SELECT id FROM public.${table}`)).rows).toEqual([{ id: 'order-1' }])
  } finally {
    await client.query(`DROP TABLE public.${table}`)
  }
})
