/** A process that measures what an event store costs as it grows, and what is built on it: projections and snapshots. */
import { mkdtemp, rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { event, typed } from 'busbar'
import { decider, repository } from 'busbar/aggregates'
import { EventStore } from 'busbar/eventstore'
import { projection, Projections, SqlReadModel, when } from 'busbar/projections'
import { SqliteEventStorage } from 'busbar/sqlite'
import { sqliteDatabase } from 'busbar/transaction'
import { type PlanName, plans } from '../plan.ts'
import { fill } from './fill.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
const Placed = event('OrderPlaced', typed<{ total: number; note: string }>())
const note = 'x'.repeat(42)
const payloadBytes = JSON.stringify({ total: 42, note }).length
const file = join(folder, 'events.db')
const SHAPE = 'shape-1'
/** Events of which a read model is made. */
const projected = Math.max(...plan.logSizes.filter((size) => size <= 1e6))
const storage = new SqliteEventStorage({ file })
const store = new EventStore(storage, { contracts: [Placed] })
await store.start()
try {
  await store.append(SHAPE, Placed.create({ total: 0, note }))
  let size = 0
  for (const rows of plan.logSizes) {
    fill(file, SHAPE, size, rows)
    size = rows
    await measureCost(rows)
    if (rows === projected) await measureProjection()
  }
  await measureSnapshots()
} finally {
  await store.stop()
  await rm(folder, { recursive: true, force: true })
}
process.exit()

function report(measure: string, unit: 'msg/s' | 'µs', value: number): void {
  process.send?.({ suite: 'store-sqlite', measure, payloadBytes, subject: 'busbar', unit, value })
}

async function measureCost(rows: number): Promise<void> {
  const at = `at ${rows.toExponential().replace('+', '')} rows`
  const appends = Math.max(20, plan.costSample / 10)
  let begin = performance.now()
  for (let n = 0; n < appends; n++) {
    await store.append(`cost-${rows}-${n}`, Placed.create({ total: 1, note }), { expected: 'none' })
  }
  report(`append, cost per message ${at}`, 'µs', ((performance.now() - begin) / appends) * 1_000)
  const reads = Math.max(5, plan.costSample / 100)
  begin = performance.now()
  let read = 0
  for (let n = 0; n < reads; n++) {
    const stream = `order-${Math.floor(((n * 7919) % rows) / 100) * 100}`
    for await (const _ of store.readStream(stream)) read++
  }
  report(`read of 100, cost per message ${at}`, 'µs', ((performance.now() - begin) / Math.max(1, read)) * 1_000)
}

/** Sums per stream in SQLite, in a transaction with the checkpoint. */
async function measureProjection(): Promise<void> {
  const db = new DatabaseSync(join(folder, 'model.db'))
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  const totals = projection({
    name: 'totals',
    tables: { totals: 'stream TEXT PRIMARY KEY, total INTEGER NOT NULL' },
    on: [
      when(Placed, ({ stream, event: { data } }, { run, table }) =>
        run(
          `INSERT INTO ${table('totals')} AS t (stream, total) VALUES (?, ?)
           ON CONFLICT (stream) DO UPDATE SET total = t.total + excluded.total`,
          [stream, data.total],
        ),
      ),
    ],
  })
  const projections = new Projections(store, new SqlReadModel(sqliteDatabase(db)), [totals])
  const applied = async (): Promise<number> => (await projections.status('totals')).live?.applied ?? 0
  let begin = performance.now()
  await projections.start()
  await projections.caughtUp('totals', { timeout: 3_600_000 })
  report('projection catch-up', 'msg/s', ((await applied()) / (performance.now() - begin)) * 1_000)
  begin = performance.now()
  await projections.rebuild('totals')
  report('projection rebuild', 'msg/s', ((await applied()) / (performance.now() - begin)) * 1_000)
  await projections.stop()
  db.close()
}

/** An aggregate of a thousand events, loaded with its snapshot and without. */
async function measureSnapshots(): Promise<void> {
  const Account = decider({
    initial: () => ({ sum: 0 }),
    decide: (command: { add: number; times: number }) =>
      Array.from({ length: command.times }, () => Placed.create({ total: command.add, note })),
    evolve: (state: { sum: number }, { data }: ReturnType<typeof Placed.create>) => ({ sum: state.sum + data.total }),
  })
  for (const [measure, snapshots] of [
    ['load an aggregate of 1000 events by replay', undefined],
    ['load an aggregate of 1000 events through its snapshot', { version: 1, every: 100 }],
  ] as const) {
    const category = snapshots === undefined ? 'replayed' : 'snapshotted'
    const accounts = repository(store, Account, { category, ...(snapshots === undefined ? {} : { snapshots }) })
    for (let n = 0; n < 10; n++) await accounts.handle('1', { add: 1, times: 100 })
    const loads = Math.max(3, plan.costSample / 500)
    await accounts.load('1')
    const begin = performance.now()
    for (let n = 0; n < loads; n++) await accounts.load('1')
    report(measure, 'µs', ((performance.now() - begin) / loads) * 1_000)
  }
}
