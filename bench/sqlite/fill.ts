import { DatabaseSync } from 'node:sqlite'
import { createEventBus, event, silentLogger, typed } from 'busbar'
import { type Payload, payloads } from '../payload.ts'

/** Rows of one transaction. */
const CHUNK = 200_000

/**
 * Brings a log to `rows` messages, fast: rows made by SQLite itself, in the shape in which Busbar writes them.
 * Nobody may have the file open. The table, its columns and its index are Busbar's.
 *
 * @param payloadBytes Length of each body.
 */
export async function fill(file: string, rows: number, payloadBytes: number): Promise<void> {
  await makeTables(file)
  const db = new DatabaseSync(file)
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = off')
    const [topic] = db.prepare(`SELECT id, partitions FROM busbar_topics WHERE name = 'events'`).all()
    const [last] = db.prepare('SELECT COALESCE(MAX(position), 0) AS position FROM busbar_messages').all()
    const body = JSON.stringify(payloads(payloadBytes)(0))
    for (let from = Number(last?.['position']) + 1; from <= rows; from += CHUNK) {
      insert(db, Number(topic?.['id']), Number(topic?.['partitions']), from, Math.min(rows, from + CHUNK - 1), body)
    }
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    db.close()
  }
}

async function makeTables(file: string): Promise<void> {
  await using bus = await createEventBus(`sqlite:${file}`, { logger: silentLogger })
  const contract = event('OrderPlaced', typed<Payload>())
  const subscription = await bus.subscribe(contract, () => {}, { group: 'tables' })
  await subscription.unsubscribe()
  await bus.getBroker().deleteGroup('tables')
}

function insert(db: DatabaseSync, topic: number, partitions: number, from: number, to: number, body: string): void {
  db.prepare(
    `WITH RECURSIVE numbers (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
     INSERT INTO busbar_messages
       (position, topic, partition, id, type, kind, source, subject, key, time, version, content_type, metadata, body)
     SELECT n, ?, n % ?, printf('01900000-0000-7000-8000-%012x', n), 'OrderPlaced', 'event', 'app',
       printf('o-%d', 10 + n % 90), printf('o-%d', 10 + n % 90), 1700000000000 + n, 1, 'application/json',
       printf('{"correlationId":"01900000-0000-7000-8000-%012x"}', n), ?
     FROM numbers`,
  ).run(from, to, topic, partitions, body)
}
