import { afterAll, beforeAll, expect, test } from 'vitest'
import { EventStore } from '../eventstore/index.ts'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { PostgresEventStorage } from '../postgres/index.ts'
import { pgDatabase } from '../transaction/database.ts'
import { Cancelled, Placed, totals } from './fixtures/shop.ts'
import { InlineProjections, SqlReadModel, when } from './index.ts'

const { name: schema, url, pool } = postgresSchema()
const options = { pollInterval: 10, retries: 1, logger: { warn: () => {}, error: () => {} } }
let store: EventStore

beforeAll(async () => {
  store = new EventStore(new PostgresEventStorage({ url, schema, client: { options: `-c search_path=${schema}` } }), {
    contracts: [Placed, Cancelled],
  })
  await store.start()
})

afterAll(() => store.stop())

test('inline in Postgres: read at once by whoever has appended, also while many append and the model is rebuilt', async () => {
  await store.append('order-old', Placed.create({ total: 7 }))
  const inline = new InlineProjections(store, new SqlReadModel(pgDatabase(pool)), [totals()], options)
  await inline.start()
  const sums = async (stream: string): Promise<unknown> =>
    (await pool.query('SELECT total::int AS total, events::int AS events FROM totals WHERE stream = $1', [stream])).rows
  expect(await sums('order-old')).toEqual([{ total: 7, events: 1 }])

  const state = { done: false }
  const rounds: number[] = []
  const writers = Array.from({ length: 6 }, async (_, writer) => {
    const stream = `order-${writer}`
    let n = 0
    // Some go on behind the rebuild.
    for (let after = 0; after < 3; state.done && after++) {
      await store.append(stream, [Placed.create({ total: 1 }), Placed.create({ total: 2 })])
      n++
      expect(await sums(stream)).toEqual([{ total: 3 * n, events: 2 * n }])
    }
    rounds[writer] = n
  })
  const rebuilding = inline
    .rebuild('totals')
    .then(() => inline.rebuild('totals'))
    .finally(() => (state.done = true))
  await Promise.all([rebuilding, ...writers])
  const { rows } = await pool.query('SELECT SUM(total)::int AS total, SUM(events)::int AS events FROM totals')
  const appended = rounds.reduce((sum, n) => sum + n, 0)
  expect(rows).toEqual([{ total: 7 + 3 * appended, events: 1 + 2 * appended }])
  const tables = await pool.query(
    `SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'totals%'`,
    [schema],
  )
  expect(tables.rows).toEqual([{ tablename: 'totals__b3' }])
  await inline.stop()
})

const checked = () => [
  when(Placed, async ({ stream, event: { data } }, { run, table }) => {
    if (data.total < 0) throw new RangeError('no such total')
    await run(`INSERT INTO ${table('checked')} VALUES (?) ON CONFLICT DO NOTHING`, [stream])
  }),
]

test('inline in Postgres: an event that cannot be applied is not appended, and those of others are', async () => {
  const inline = new InlineProjections(
    store,
    new SqlReadModel(pgDatabase(pool)),
    [totals({ name: 'checked', tables: { checked: 'stream TEXT PRIMARY KEY' }, on: checked() })],
    options,
  )
  await inline.start()
  const appends = await Promise.allSettled([
    store.append('a-1', Placed.create({ total: 1 })),
    store.append('a-2', Placed.create({ total: -1 })),
    store.append('a-3', Placed.create({ total: 1 })),
  ])
  expect(appends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect((await store.info('a-2')).revision).toBe(-1)
  expect((await pool.query('SELECT stream FROM checked WHERE stream LIKE $1 ORDER BY stream', ['a-%'])).rows).toEqual([
    { stream: 'a-1' },
    { stream: 'a-3' },
  ])
  await inline.stop()
})
