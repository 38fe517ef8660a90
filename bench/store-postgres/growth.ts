/** A process that measures what an event store on Postgres costs as it grows. */
import { randomUUID } from 'node:crypto'
import { EventStore } from 'busbar/eventstore'
import { PostgresEventStorage } from 'busbar/postgres'
import pg from 'pg'
import { type PlanName, plans } from '../plan.ts'
import { measureCost } from '../store/growth.ts'
import { Placed } from '../store/projecting.ts'
import { fill } from './fill.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const { BUSBAR_POSTGRES_URL: url } = process.env
if (url === undefined) throw new Error('BUSBAR_POSTGRES_URL is not set')
const note = 'x'.repeat(42)
const payloadBytes = JSON.stringify({ total: 42, note }).length
const SHAPE = 'shape-1'

const schema = `bench_${randomUUID().replaceAll('-', '').slice(0, 12)}`
const store = new EventStore(new PostgresEventStorage({ url, schema }), { contracts: [Placed] })
const client = new pg.Client(url)
await client.connect()
try {
  await store.start()
  await client.query(`SET search_path TO ${schema}`)
  await store.append(SHAPE, Placed.create({ total: 0, note }))
  let size = 0
  for (const rows of plan.logSizes) {
    await fill(client, SHAPE, size, rows)
    size = rows
    await measureCost(store, rows, plan, (measure, unit, value) => {
      process.send?.({ suite: 'store-postgres', measure, payloadBytes, subject: 'busbar', unit, value })
    })
  }
} finally {
  await store.stop()
  await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await client.end()
}
process.exit()
