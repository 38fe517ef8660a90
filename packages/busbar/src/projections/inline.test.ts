import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EventStore } from '../eventstore/index.ts'
import { SqliteEventStorage } from '../sqlite/index.ts'
import { sqliteDatabase } from '../transaction/database.ts'
import { TransactionError } from '../transaction/errors.ts'
import { Cancelled, Placed, totals } from './fixtures/shop.ts'
import {
  InlineProjections,
  type Projection,
  ProjectionChangedError,
  ProjectionPoisonedError,
  SqlReadModel,
  type SqlModel,
  when,
  whenMany,
} from './index.ts'

const options = { pollInterval: 10, retries: 1, logger: { warn: () => {}, error: () => {} } }
let folder: string
let db: DatabaseSync
let store: EventStore

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'busbar-inline-'))
  const file = join(folder, 'events.db')
  store = new EventStore(new SqliteEventStorage({ file }), { contracts: [Placed, Cancelled] })
  await store.start()
  db = new DatabaseSync(file)
})
afterEach(async () => {
  await store.stop()
  db.close()
  rmSync(folder, { recursive: true, force: true })
})

async function inline(projection: Projection<SqlModel> = totals(), over = store): Promise<InlineProjections> {
  const made = new InlineProjections(over, new SqlReadModel(sqliteDatabase(db)), [projection], options)
  await made.start()
  return made
}

const sums = (): unknown[] =>
  db
    .prepare('SELECT stream, total, events FROM totals ORDER BY stream')
    .all()
    .map((row) => ({ ...row }))

test('a handler that takes many gets the events of one append together', async () => {
  const calls: string[][] = []
  await inline(
    totals({ on: [whenMany([Placed, Cancelled], (all) => void calls.push(all.map((one) => one.event.type)))] }),
  )
  await store.append('order-1', [Placed.create({ total: 2 }), Cancelled.create({})])
  await store.append('order-1', Placed.create({ total: 3 }))
  expect(calls).toEqual([['Placed', 'Cancelled'], ['Placed']])
})

test('whoever has appended reads it at once', async () => {
  await inline()
  await store.append('order-1', [Placed.create({ total: 2 }), Placed.create({ total: 3 })])
  expect(sums()).toEqual([{ stream: 'order-1', total: 5, events: 2 }])
})

test('an event that cannot be applied is not appended, and changes nothing', async () => {
  await inline(
    totals({
      on: [
        when(Placed, async ({ event: { data } }, model) => {
          await model.run(`INSERT INTO ${model.table('totals')} VALUES ('x', 0, 0)`)
          if (data.total < 0) throw new RangeError('no such total')
        }),
      ],
    }),
  )
  await expect(store.append('order-1', Placed.create({ total: -1 }))).rejects.toThrow('no such total')
  expect((await store.info('order-1')).revision).toBe(-1)
  expect(sums()).toEqual([])
})

test.for<[string, () => Promise<unknown>]>([
  ['appends', () => store.append('audit-1', Placed.create({ total: 1 }))],
  ['reads', () => store.getEvents('order-1')],
])('one that %s through the store, without the transaction that it was given, is told so at once', async ([, call]) => {
  await inline(totals({ on: [when(Placed, async ({ stream }) => void (stream === 'order-1' && (await call())))] }))
  const refused = store.append('order-1', Placed.create({ total: 1 }))
  await expect(refused).rejects.toThrow(TransactionError)
  await expect(refused).rejects.toThrow(/inline projection.*Give it the transaction/)
  expect((await store.info('order-1')).revision).toBe(-1)
  await store.append('order-2', Placed.create({ total: 1 }))
  expect((await store.info('audit-1')).revision).toBe(-1)
})

test('what was there before is in the model when it has started', async () => {
  await store.append('order-1', [Placed.create({ total: 2 }), Placed.create({ total: 3 })])
  await inline()
  expect(sums()).toEqual([{ stream: 'order-1', total: 5, events: 2 }])
})

test('a rebuild while appends go on misses none and doubles none, and readers see each at once all the time', async () => {
  const projections = await inline()
  for (let i = 0; i < 40; i++)
    await store.append(
      `order-${i % 4}`,
      [1, 2, 3].map((total) => Placed.create({ total })),
    )
  const state = { done: false, appended: 40 }
  const rebuilding = projections.rebuild('totals').then(() => (state.done = true))
  while (!state.done) {
    await store.append(
      `order-${state.appended++ % 4}`,
      [1, 2, 3].map((total) => Placed.create({ total })),
    )
    const [row] = db.prepare('SELECT SUM(events) AS events FROM totals').all()
    expect(row?.['events']).toBe(state.appended * 3)
  }
  await rebuilding
  await store.append('order-0', Placed.create({ total: 100 }))
  const [row] = db.prepare('SELECT SUM(total) AS total, SUM(events) AS events FROM totals').all()
  expect({ ...row }).toEqual({ total: state.appended * 6 + 100, events: state.appended * 3 + 1 })
  const tables = db.prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'totals%'`).all()
  expect(tables.map(({ name }) => name)).toEqual(['totals__b2'])
})

test('a new version is shown when it is whole; a program of the old one may not append any more', async () => {
  await inline()
  await store.append('order-1', Placed.create({ total: 1 }))
  const old = store
  const other = new EventStore(new SqliteEventStorage({ file: join(folder, 'events.db') }), { contracts: [Placed] })
  await other.start()
  try {
    await inline(
      totals({
        version: 2,
        on: [
          when(Placed, ({ stream }, { run, table }) =>
            run(`INSERT INTO ${table('totals')} VALUES (?, 7, 7)`, [stream]),
          ),
        ],
      }),
      other,
    )
    expect(sums()).toEqual([{ stream: 'order-1', total: 7, events: 7 }])
    await expect(old.append('order-2', Placed.create({ total: 1 }))).rejects.toThrow(ProjectionChangedError)
    await other.append('order-3', Placed.create({ total: 1 }))
    await vi.waitFor(() => expect(sums()).toHaveLength(2))
  } finally {
    await other.stop()
  }
})

test('a history that cannot be applied is told where it starts', async () => {
  await store.append('order-1', Placed.create({ total: 1 }))
  const failing = totals({ on: [when(Placed, () => Promise.reject(new Error('cannot')))] })
  await expect(inline(failing)).rejects.toThrow(ProjectionPoisonedError)
  await expect(inline(failing)).rejects.toThrow(/revision 0 of 'order-1': Error: cannot/)
})
