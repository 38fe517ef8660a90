/** A process that measures how read models on Postgres follow a store on Postgres, in one database. */
import { randomUUID } from 'node:crypto'
import { EventStore } from 'busbar/eventstore'
import { PostgresEventStorage } from 'busbar/postgres'
import { pgDatabase } from 'busbar/transaction'
import pg from 'pg'
import { type PlanName, plans } from '../plan.ts'
import { measureProjection, Placed } from '../store/projecting.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const events = Math.min(Math.max(...plan.logSizes), plan.memoryHandled)
const { BUSBAR_POSTGRES_URL: server } = process.env
if (server === undefined) throw new Error('BUSBAR_POSTGRES_URL is not set')
const note = 'x'.repeat(42)
const payloadBytes = JSON.stringify({ total: 42, note }).length

const name = `bench_${randomUUID().replaceAll('-', '').slice(0, 12)}`
const admin = new pg.Client(server)
await admin.connect()
await admin.query(`CREATE DATABASE ${name}`)
const url = new URL(server)
url.pathname = `/${name}`
const store = new EventStore(new PostgresEventStorage({ url: url.href }), { contracts: [Placed] })
const pool = new pg.Pool({ connectionString: url.href })
// Its connections may still be ending when the database is dropped. What fails before is told by the query that it fails.
pool.on('error', () => {})
try {
  await store.start()
  for (let n = 0; n < events; n += 1_000) {
    const streams = Array.from({ length: Math.min(10, Math.ceil((events - n) / 100)) }, (_, i) => ({
      stream: `order-${n + i * 100}`,
      events: Array.from({ length: 100 }, (_each, total) => Placed.create({ total, note })),
    }))
    await store.appendAll(streams)
  }
  // As autovacuum would before long; else what is measured depends on whether it has been there.
  await pool.query('ANALYZE')
  await measureProjection(store, pgDatabase(pool), events, (measure, value) => {
    process.send?.({ suite: 'store-postgres', measure, payloadBytes, subject: 'busbar', unit: 'msg/s', value })
  })
} finally {
  await store.stop()
  await pool.end()
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await admin.end()
}
process.exit()
