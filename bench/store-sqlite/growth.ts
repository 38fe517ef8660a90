/** A process that measures what an event store costs as it grows, and what is built on it: projections and snapshots. */
import { mkdtemp, rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decider, repository } from 'busbar/aggregates'
import { EventStore } from 'busbar/eventstore'
import { SqliteEventStorage } from 'busbar/sqlite'
import { sqliteDatabase } from 'busbar/transaction'
import { type PlanName, plans } from '../plan.ts'
import { measureCost } from '../store/growth.ts'
import { measureProjection, Placed } from '../store/projecting.ts'
import { fill } from './fill.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
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
    await measureCost(store, rows, plan, report)
    if (rows === projected) await measureReadModel()
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

async function measureReadModel(): Promise<void> {
  const db = new DatabaseSync(join(folder, 'model.db'))
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  const { count } = await storage.head()
  await measureProjection(store, sqliteDatabase(db), count, (measure, value) => report(measure, 'msg/s', value))
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
