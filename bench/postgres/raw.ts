import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import type { Open } from '../subject.ts'
import { Tally } from '../tally.ts'
import { connect, schemaOf } from './settings.ts'

/** Columns, and their types. The same as Busbar's; the position is a number. */
const COLUMNS: Readonly<Record<string, string>> = {
  topic: 'int4',
  partition: 'int4',
  id: 'text',
  type: 'text',
  kind: 'text',
  source: 'text',
  subject: 'text',
  key: 'text',
  time: 'int8',
  version: 'int8',
  revision: 'int8',
  priority: 'text',
  content_type: 'text',
  metadata: 'text',
  body: 'text',
}
const names = Object.keys(COLUMNS).join(', ')
const columns = Object.entries(COLUMNS)
  .map(([name, type]) => `${name} ${type}`)
  .join(', ')
const placeholders = Object.keys(COLUMNS)
  .map((_, n) => `$${n + 1}`)
  .join(', ')
const arrays = Object.values(COLUMNS)
  .map((type, n) => `$${n + 1}::${type}[]`)
  .join(', ')

/** Rows read at once. */
const ROWS = 100

const insertOne = {
  name: 'one',
  text: `INSERT INTO raw_messages (${names}) VALUES (${placeholders})`,
}
const insertMany = {
  name: 'many',
  text: `INSERT INTO raw_messages (${names}) SELECT * FROM unnest(${arrays})`,
}
const next = {
  name: 'next',
  text: `SELECT xid, position, ${names} FROM raw_messages
    WHERE (xid, position) > ($1::xid8, $2::int8) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, position LIMIT ${ROWS}`,
  rowMode: 'array' as const,
}
const move = {
  name: 'move',
  text: `UPDATE raw_cursors SET xid = $1, position = $2 WHERE grp = 'raw'`,
}

/**
 * What a hand-written queue on pg would do: the same columns, a batch as one INSERT over arrays, one reader behind one
 * cursor, which it moves while it reads the next rows.
 */
export const open: Open = async (payloadBytes) => {
  const schema = schemaOf(`raw_${payloadBytes}`)
  const client = await connect(schema)
  await client.query(`
    CREATE SCHEMA "${schema}";
    CREATE TABLE raw_messages (
      xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
      position bigint GENERATED ALWAYS AS IDENTITY,
      ${columns},
      PRIMARY KEY (xid, position)
    );
    CREATE TABLE raw_cursors (grp text PRIMARY KEY, xid xid8 NOT NULL, position bigint NOT NULL);
    INSERT INTO raw_cursors VALUES ('raw', '0', 0)`)
  const reader = await connect(schema)
  // As Busbar's cursor: what a crash of the server takes back is read again.
  await reader.query('SET synchronous_commit TO off')
  await reader.query('SET enable_seqscan TO off')
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  let turn = 0
  const rowOf = (message: Message): unknown[] => valuesOf(message, turn++ % 16)

  let position: unknown[] = ['0', '0']
  let live = true
  let reading: Promise<void> | undefined
  /** Published and not read. */
  let waiting = 0
  const going = (): boolean => live && waiting > 0
  const read = async (): Promise<void> => {
    let moved: Promise<unknown> | undefined
    while (going()) {
      const { rows } = await reader.query<unknown[]>({ ...next, values: position })
      waiting -= rows.length
      for (const row of rows) {
        await handler(JSON.parse(row.at(-1) as string) as Payload)
        position = row.slice(0, 2)
      }
      await moved
      moved = rows.length > 0 ? reader.query({ ...move, values: position }) : undefined
    }
    await moved
  }
  const wake = (): void => {
    if (!live || waiting === 0) return
    reading ??= read().finally(() => {
      reading = undefined
      wake()
    })
  }

  const one = async (n: number): Promise<void> => {
    await client.query({ ...insertOne, values: rowOf(OrderPlaced.create(payload(n))) })
    waiting++
    wake()
  }
  const batch = async (from: number, count: number): Promise<void> => {
    const rows = Array.from({ length: count }, (_, index) => rowOf(OrderPlaced.create(payload(from + index))))
    await client.query({ ...insertMany, values: Object.keys(COLUMNS).map((_, n) => rows.map((row) => row[n])) })
    waiting += count
    wake()
  }
  const away = async (): Promise<void> => {
    live = false
    await reading
    waiting = 0
    await client.query('TRUNCATE raw_messages')
  }
  const back = async (): Promise<void> => {
    live = true
    wake()
  }
  return {
    tally,
    one,
    window: batch,
    batch,
    line: { away, back },
    close: async () => {
      live = false
      await reading
      await reader.end()
      await client.query(`DROP SCHEMA "${schema}" CASCADE`)
      await client.end()
    },
  }
}

function valuesOf(message: Message, partition: number): unknown[] {
  const { id, type, kind, source, subject, key, time, version, metadata, data } = message
  const attributes = [id, type, kind, source, subject ?? null, key ?? null, time.getTime(), version, null, null]
  return [1, partition, ...attributes, 'application/json', JSON.stringify(metadata), JSON.stringify(data)]
}
