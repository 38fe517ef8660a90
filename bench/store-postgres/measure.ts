/** A process that measures event stores on Postgres beside each other. */
import { randomUUID } from 'node:crypto'
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql'
import { uuidv7 } from 'busbar/message'
import { PostgresEventStorage } from 'busbar/postgres'
import pg from 'pg'
import { type PlanName, plans } from '../plan.ts'
import { BODY, busbar, DATA } from '../store/busbar.ts'
import { compare, type StoreSubject } from '../store/measures.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const url = process.env['BUSBAR_POSTGRES_URL']
if (url === undefined) throw new Error('BUSBAR_POSTGRES_URL is not set')
const names = { busbar: name(), raw: name() }

const storage = new PostgresEventStorage({ url, schema: names.busbar })
await storage.start()
// The tables of Busbar with their indexes, for the raw baseline.
const tables = new PostgresEventStorage({ url, schema: names.raw })
await tables.start()
await tables.stop()
const pool = new pg.Pool({ connectionString: url, max: 10 })
const emmettDatabase = `bench_${randomUUID().replaceAll('-', '').slice(0, 12)}`
await pool.query(`CREATE DATABASE ${emmettDatabase}`)
const emmettUrl = new URL(url)
emmettUrl.pathname = `/${emmettDatabase}`

const subjects = { raw: raw(), busbar: busbar(storage), emmett: await emmett() }
try {
  await compare(subjects, plan, (subject, measure, value) => {
    process.send?.({ suite: 'store-postgres', measure, payloadBytes: BODY.length, subject, unit: 'msg/s', value })
  })
} finally {
  for (const subject of Object.values(subjects)) await subject.close()
  for (const schema of Object.values(names)) await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await pool.query(`DROP DATABASE IF EXISTS ${emmettDatabase} WITH (FORCE)`)
  await pool.end()
}
process.exit()

function name(): string {
  return `bench_${randomUUID().replaceAll('-', '').slice(0, 12)}`
}

/** One statement an append over a pool of ten connections: the stream is begun or nothing is written. */
function raw(): StoreSubject {
  const columns = 'id, type, kind, source, key, time, version, content_type, metadata, body'
  const append = {
    name: 'append',
    text: `WITH s AS (
        INSERT INTO ${names.raw}.busbar_streams (stream, revision, first, last) VALUES ($1, $2, 0, '') ON CONFLICT DO NOTHING RETURNING stream
      )
      INSERT INTO ${names.raw}.busbar_messages (topic, partition, stream, stream_revision, category, correlation, stored_at, ${columns})
      SELECT 1, 1, s.stream, e.n - 1, 'bench', e.id, $3::float8, e.id, 'OrderPlaced', 'event', 'bench', s.stream, $3::float8::bigint, 1, 'application/json', e.metadata, e.body
      FROM s, unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS e (id, metadata, body, n) RETURNING position`,
  }
  const read = {
    name: 'read',
    text: `SELECT position, stream_revision, stored_at, ${columns} FROM ${names.raw}.busbar_messages WHERE stream = $1 AND stream_revision >= 0 ORDER BY stream_revision`,
  }
  return {
    append: async (stream, count) => {
      const ids = Array.from({ length: count }, () => uuidv7())
      const metadata = ids.map((correlationId) => JSON.stringify({ correlationId }))
      const bodies = ids.map(() => JSON.stringify(DATA))
      await pool.query({ ...append, values: [stream, count - 1, Date.now(), ids, metadata, bodies] })
    },
    read: async (stream) => {
      const { rows } = await pool.query<{ body: string; metadata: string }>({ ...read, values: [stream] })
      for (const row of rows) JSON.parse(row.body)
      return rows.length
    },
    close: async () => {},
  }
}

async function emmett(): Promise<StoreSubject> {
  const store = getPostgreSQLEventStore(emmettUrl.href)
  await store.schema.migrate()
  return {
    append: (stream, count) =>
      store.appendToStream(
        stream,
        Array.from({ length: count }, () => ({ type: 'OrderPlaced', data: DATA })),
        { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' },
      ),
    read: async (stream) => (await store.readStream(stream)).events.length,
    close: () => store.close(),
  }
}
