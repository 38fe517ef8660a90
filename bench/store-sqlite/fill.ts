import { closeSync, fsyncSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

/** Events of one transaction. */
const CHUNK = 100_000

const COPIED = 'type, kind, source, subject, time, version, revision, priority, content_type'

/**
 * Brings a store that is open from one number of events to another, fast: rows made by SQLite itself, in the shape of one event that
 * Busbar has written. Streams `order-0`, `order-100` and so on, of 100 events each.
 *
 * @param shape Stream of that one event; its `total` is 0.
 */
export function fill(file: string, shape: string, from: number, to: number): void {
  const db = new DatabaseSync(file)
  try {
    db.exec('PRAGMA synchronous = off')
    for (let begin = from; begin < to; begin += CHUNK) insert(db, shape, begin, Math.min(to, begin + CHUNK) - 1)
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    db.close()
  }
  // Else the system writes it while the next appends wait for the disk.
  const opened = openSync(file, 'r')
  fsyncSync(opened)
  closeSync(opened)
}

function insert(db: DatabaseSync, shape: string, from: number, to: number): void {
  const numbers =
    'WITH RECURSIVE numbers (n) AS (SELECT CAST(? AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)'
  const id = `printf('01900000-0000-7000-8000-%012x', n)`
  const stream = `printf('order-%d', n - n % 100)`
  db.exec('BEGIN IMMEDIATE')
  db.prepare(
    `${numbers}
     INSERT INTO busbar_messages
       (topic, partition, stream, stream_revision, category, correlation, stored_at, id, key, metadata, body, ${COPIED})
     SELECT topic, n / 100 % 16, ${stream}, n % 100, 'order', ${id}, stored_at, ${id}, iif(key IS NULL, NULL, ${stream}),
       replace(metadata, shape.id, ${id}), replace(body, '"total":0', printf('"total":%d', n % 100)), ${COPIED}
     FROM numbers CROSS JOIN (SELECT * FROM busbar_messages WHERE stream = ? AND stream_revision = 0) AS shape`,
  ).run(from, to, shape)
  db.prepare(
    `${numbers}
     INSERT INTO busbar_streams (stream, revision) SELECT ${stream}, max(n % 100) FROM numbers GROUP BY n / 100 ORDER BY 1`,
  ).run(from, to)
  db.exec('COMMIT')
}
