import type { Message } from 'busbar'
import type { Client } from 'pg'
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

/** As many as Busbar has by default. */
const PARTITIONS = 16
/** Rows read at once. */
const ROWS = 100
/** Milliseconds between two notifications, at least. */
const PAUSE = 5

const insertOne = {
  name: 'one',
  text: `INSERT INTO raw_messages (${names}) VALUES (${placeholders})`,
}
const insertMany = {
  name: 'many',
  text: `INSERT INTO raw_messages (${names}) SELECT * FROM unnest(${arrays})`,
}
/** One partition after the other, as long as there is room: an expert reads few indexes deep and not many shallow. */
const next = {
  name: 'next',
  text: `SELECT m.* FROM unnest($1::int4[], $2::xid8[], $3::int8[]) AS w (partition, xid, position)
    CROSS JOIN LATERAL (
      SELECT xid, position, ${names} FROM raw_messages b
      WHERE b.partition = w.partition AND (b.xid, b.position) > (w.xid, w.position)
        AND b.xid < (SELECT pg_snapshot_xmin(pg_current_snapshot()))
      ORDER BY b.xid, b.position LIMIT ${ROWS}
    ) AS m LIMIT ${ROWS}`,
  rowMode: 'array' as const,
}
const move = {
  name: 'move',
  text: `UPDATE raw_cursors c SET xid = w.xid, position = w.position
    FROM unnest($1::int4[], $2::xid8[], $3::int8[]) AS w (partition, xid, position)
    WHERE c.grp = 'raw' AND c.partition = w.partition`,
}

/** Of the partition in a row that was read. */
const PARTITION = 2 + Object.keys(COLUMNS).indexOf('partition')

/** Where the consumer is in one partition. */
interface Place {
  readonly partition: number
  xid: string
  position: string
}

/**
 * What a hand-written queue on pg would do, with what any honest one has to: the same columns, a batch as one INSERT over
 * arrays; partitions by key, each with a cursor of its own, so that a second process could take some of them and order would
 * be kept; the right to a partition is an advisory lock of the session that moves its cursor, which costs nothing per
 * message and ends with the session; the cursor is stored after the handler, while the next rows are read; and other
 * processes are told by NOTIFY that something came. This process wakes its own consumer without that, as Busbar does.
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
      PRIMARY KEY (partition, xid, position)
    );
    CREATE TABLE raw_cursors (
      grp text, partition int4, xid xid8 NOT NULL, position bigint NOT NULL, PRIMARY KEY (grp, partition)
    ) WITH (fillfactor = 50);
    INSERT INTO raw_cursors SELECT 'raw', partition, '0', 0 FROM generate_series(0, ${PARTITIONS - 1}) AS partition`)
  const { reader, places } = await consumer(schema)
  const teller = await connect(schema)
  const hints = new Hints(teller, schema)
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()

  let live = true
  let reading: Promise<void> | undefined
  /** Published and not read. */
  let waiting = 0
  /** Another one first each time, so that none starves. */
  let first = 0
  const going = (): boolean => live && waiting > 0
  const read = async (): Promise<void> => {
    let moved: Promise<unknown> | undefined
    while (going()) {
      const order = [...places.slice(first), ...places.slice(0, first)]
      const { rows } = await reader.query<unknown[]>({ ...next, values: arraysOf(order) })
      waiting -= rows.length
      const touched = new Set<Place>()
      for (const row of rows) {
        await handler(JSON.parse(row.at(-1) as string) as Payload)
        const place = places[row[PARTITION] as number] as Place
        place.xid = row[0] as string
        place.position = row[1] as string
        touched.add(place)
        first = place.partition
      }
      await moved
      moved = rows.length > 0 ? reader.query({ ...move, values: arraysOf([...touched]) }) : undefined
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
  const came = (count: number): void => {
    waiting += count
    wake()
    hints.tell()
  }

  const one = async (n: number): Promise<void> => {
    await client.query({ ...insertOne, values: valuesOf(OrderPlaced.create(payload(n))) })
    came(1)
  }
  const batch = async (from: number, count: number): Promise<void> => {
    const rows = Array.from({ length: count }, (_, index) => valuesOf(OrderPlaced.create(payload(from + index))))
    await client.query({ ...insertMany, values: Object.keys(COLUMNS).map((_, n) => rows.map((row) => row[n])) })
    came(count)
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
      await hints.close()
      await reader.end()
      await client.query(`DROP SCHEMA "${schema}" CASCADE`)
      await client.end()
    },
  }
}

/** The session that holds the partitions, and where it goes on in each. */
async function consumer(schema: string): Promise<{ readonly reader: Client; readonly places: readonly Place[] }> {
  const reader = await connect(schema)
  // As Busbar's cursor: what a crash of the server takes back is read again.
  await reader.query('SET synchronous_commit TO off')
  // As Busbar's sessions: the index is read in its order. Else each read sorts all that waits in the partition.
  await reader.query(
    'SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET plan_cache_mode TO force_generic_plan',
  )
  // Anyone else waits here until this session has ended.
  await reader.query(`SELECT pg_advisory_lock(hashtext($1), partition) FROM raw_cursors WHERE grp = 'raw'`, [schema])
  const { rows } = await reader.query<Place>(
    `SELECT partition, xid, position FROM raw_cursors WHERE grp = 'raw' ORDER BY partition`,
  )
  return { reader, places: rows }
}

/** Tells other processes that something came: a hint, after the commit, on a connection of its own, not for each message. */
class Hints {
  private readonly client: Client
  private readonly channel: string
  private timer: NodeJS.Timeout | undefined
  private toldAt = 0
  private telling: Promise<unknown> | undefined

  constructor(client: Client, channel: string) {
    this.client = client
    this.channel = channel
    this.telling = client.query(`SET synchronous_commit TO off; LISTEN "${channel}"`)
  }

  tell(): void {
    this.timer ??= setTimeout(() => this.tellNow(), Math.max(0, this.toldAt + PAUSE - performance.now()))
  }

  async close(): Promise<void> {
    clearTimeout(this.timer)
    await this.telling
    await this.client.end()
  }

  private tellNow(): void {
    this.timer = undefined
    this.toldAt = performance.now()
    this.telling = this.client.query({ name: 'tell', text: 'SELECT pg_notify($1, $2)', values: [this.channel, ''] })
  }
}

function arraysOf(places: readonly Place[]): string[] {
  const list = (values: readonly unknown[]): string => `{${values.join(',')}}`
  return [
    list(places.map(({ partition }) => partition)),
    list(places.map(({ xid }) => xid)),
    list(places.map(({ position }) => position)),
  ]
}

function valuesOf(message: Message): unknown[] {
  const { id, type, kind, source, subject, key, time, version, metadata, data } = message
  const attributes = [id, type, kind, source, subject ?? null, key ?? null, time.getTime(), version, null, null]
  return [1, partitionOf(key ?? ''), ...attributes, 'application/json', JSON.stringify(metadata), JSON.stringify(data)]
}

function partitionOf(key: string): number {
  let hash = 0
  for (let index = 0; index < key.length; index++) hash = (Math.imul(hash, 31) + key.charCodeAt(index)) | 0
  return (hash >>> 0) % PARTITIONS
}
