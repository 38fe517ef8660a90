/** A process that measures event stores on SQLite beside each other. */
import { mkdtemp, rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { uuidv7 } from 'busbar/message'
import { SqliteEventStorage } from 'busbar/sqlite'
import { type PlanName, plans } from '../plan.ts'
import { getSQLiteEventStore, sqliteConnection, SQLiteConnectionPool } from '../../peers/emmett-sqlite/index.ts'
import { BODY, busbar, DATA } from '../store/busbar.ts'
import { compare, type StoreSubject } from '../store/measures.ts'

const plan = plans[(JSON.parse(process.argv[2] ?? '{}') as { readonly plan: PlanName }).plan]
const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
const storage = new SqliteEventStorage({ file: join(folder, 'busbar.db') })
await storage.start()
const subjects = { raw: await raw(), busbar: busbar(storage), emmett: await emmett() }
try {
  await compare(subjects, plan, (subject, measure, value) => {
    process.send?.({ suite: 'store-sqlite', measure, payloadBytes: BODY.length, subject, unit: 'msg/s', value })
  })
} finally {
  for (const subject of Object.values(subjects)) await subject.close()
  await rm(folder, { recursive: true, force: true })
}
process.exit()

/** Prepared statements of node:sqlite on the tables that Busbar made, with all their indexes: a transaction an append. */
async function raw(): Promise<StoreSubject> {
  const file = join(folder, 'raw.db')
  const tables = new SqliteEventStorage({ file })
  await tables.start()
  await tables.stop()
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = normal')
  const columns = 'id, type, kind, source, key, time, version, content_type, metadata, body'
  const [begin, commit] = [db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT')]
  const revisionOf = db.prepare('SELECT revision FROM busbar_streams WHERE stream = ?')
  const move = db.prepare('INSERT INTO busbar_streams (stream, revision) VALUES (?, ?)')
  const insert = db.prepare(
    `INSERT INTO busbar_messages (topic, partition, stream, stream_revision, category, correlation, stored_at, ${columns})
     VALUES (1, ?, ?, ?, 'bench', ?, ?, ?, 'OrderPlaced', 'event', 'bench', ?, ?, 1, 'application/json', ?, ?)`,
  )
  const select = db.prepare(
    `SELECT position, stream_revision, stored_at, ${columns} FROM busbar_messages WHERE stream = ? AND stream_revision >= 0 ORDER BY stream_revision`,
  )
  return {
    append: async (stream, count) => {
      begin.run()
      if (revisionOf.get(stream) !== undefined) throw new Error('the stream is there already')
      move.run(stream, count - 1)
      for (let revision = 0; revision < count; revision++) {
        const [id, now] = [uuidv7(), Date.now()]
        const metadata = JSON.stringify({ correlationId: id })
        insert.run(revision % 16, stream, revision, id, now, id, stream, now, metadata, JSON.stringify(DATA))
      }
      commit.run()
    },
    read: async (stream) => {
      const rows = select.all(stream)
      for (const row of rows) JSON.parse(row['body'] as string)
      return rows.length
    },
    close: async () => db.close(),
  }
}

/** On one connection that stays, with the durability of the others; its default opens a connection for every call. */
async function emmett(): Promise<StoreSubject> {
  const fileName = join(folder, 'emmett.db')
  const connection = sqliteConnection({ fileName })
  await connection.command('PRAGMA synchronous = normal')
  const pool = SQLiteConnectionPool({ fileName, connectionOptions: { singleton: true, connection } })
  const store = getSQLiteEventStore({ fileName, pool })
  await store.schema.migrate()
  return {
    append: (stream, count) =>
      store.appendToStream(
        stream,
        Array.from({ length: count }, () => ({ type: 'OrderPlaced', data: DATA })),
        { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' },
      ),
    read: async (stream) => (await store.readStream(stream)).events.length,
    close: async () => connection.close(),
  }
}
