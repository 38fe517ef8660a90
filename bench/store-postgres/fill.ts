import type { Client } from 'pg'

/** Events of one transaction. */
const CHUNK = 100_000

const COPIED = 'type, kind, source, subject, time, version, revision, priority, content_type'

/**
 * Brings a store that is open from one number of events to another, fast: rows made by the server itself, in the shape of one event that
 * Busbar has written. Streams `order-0`, `order-100` and so on, of 100 events each.
 *
 * @param shape Stream of that one event; its `total` is 0.
 */
export async function fill(client: Client, shape: string, from: number, to: number): Promise<void> {
  await client.query('SET synchronous_commit TO off')
  for (let begin = from; begin < to; begin += CHUNK) {
    await client.query(INSERT, [begin, Math.min(to, begin + CHUNK) - 1, shape])
  }
  // As autovacuum would before long; else what is measured depends on whether it has been there, or is there just now.
  await client.query('VACUUM (ANALYZE) busbar_messages, busbar_streams')
  await client.query('CHECKPOINT')
}

const ID = `'01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')`
const STREAM = `'order-' || (n - n % 100)`

const INSERT = `
  WITH written AS (
    INSERT INTO busbar_messages
      (topic, partition, stream, stream_revision, category, correlation, stored_at, id, key, metadata, body, ${COPIED})
    SELECT topic, n / 100 % 16, ${STREAM}, n % 100, 'order', ${ID}, stored_at, ${ID}, CASE WHEN key IS NOT NULL THEN ${STREAM} END,
      replace(metadata, shape.id, ${ID}), replace(body, '"total":0', '"total":' || n % 100), ${COPIED}
    FROM generate_series($1::int, $2::int) AS numbers (n)
    CROSS JOIN (SELECT * FROM busbar_messages WHERE stream = $3 AND stream_revision = 0) AS shape
    ORDER BY n
    RETURNING stream, stream_revision, position
  )
  INSERT INTO busbar_streams (stream, revision, last)
  SELECT stream, max(stream_revision), left(max(position), 19) FROM written GROUP BY stream`
