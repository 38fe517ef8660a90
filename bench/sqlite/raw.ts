import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { createEventBus, type Message, silentLogger } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import type { Open } from '../subject.ts'
import { Tally } from '../tally.ts'
import { SYNCHRONOUS } from './settings.ts'

type Value = string | number | null

const COLUMNS = [
  'topic',
  'partition',
  'id',
  'type',
  'kind',
  'source',
  'subject',
  'key',
  'time',
  'version',
  'revision',
  'priority',
  'content_type',
  'metadata',
  'body',
]

/** Rows read at once, and most rows of one INSERT. */
const ROWS = 100

/**
 * What a hand-written queue on `node:sqlite` would do, in a file whose tables and indexes Busbar made, with the same
 * pragmas, and rows from the same messages (same ids, same JSON), but nothing around it: no checks, no promises.
 */
export const open: Open = async (payloadBytes, folder) => {
  const file = join(folder, 'raw.db')
  await prepareFile(file)
  const db = new DatabaseSync(file)
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${SYNCHRONOUS}`)
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  const log = new Log(db)
  let live = true

  const consume = async (): Promise<void> => {
    for (let rows = log.next(); rows.length > 0; rows = log.next()) {
      for (const row of rows) await handler(JSON.parse(row.body) as Payload)
      log.commit(rows)
    }
  }
  const one = (n: number): unknown => {
    log.insert([OrderPlaced.create(payload(n))])
    return live ? consume() : undefined
  }
  const batch = (from: number, count: number): unknown => {
    log.insert(Array.from({ length: count }, (_, index) => OrderPlaced.create(payload(from + index))))
    return live ? consume() : undefined
  }
  const away = async (): Promise<void> => {
    live = false
    log.skip()
  }
  const back = async (): Promise<void> => {
    live = true
    await consume()
  }
  return { tally, one, window: batch, batch, line: { away, back }, close: async () => db.close() }
}

async function prepareFile(file: string): Promise<void> {
  await using bus = await createEventBus(`sqlite:${file}`, { logger: silentLogger })
  await bus.subscribe(OrderPlaced, () => {}, { group: 'raw' })
}

interface LogRow {
  readonly position: number
  readonly body: string
}

/** The log's table, read partition by partition behind a cursor each. */
class Log {
  private readonly db: DatabaseSync
  private readonly topic: number
  private readonly cursors: { readonly partition: number; position: number }[]
  private readonly inserts = new Map<number, StatementSync>()
  private readonly read: StatementSync
  private readonly move: StatementSync
  private turn = 0

  constructor(db: DatabaseSync) {
    this.db = db
    const [topic] = db.prepare(`SELECT id, partitions FROM busbar_topics WHERE name = 'events'`).all()
    if (topic === undefined) throw new Error(`Busbar made no topic 'events' in the file of the raw baseline`)
    this.topic = Number(topic['id'])
    this.cursors = Array.from({ length: Number(topic['partitions']) }, (_, partition) => ({ partition, position: 0 }))
    this.read = db.prepare(
      `SELECT position, ${COLUMNS.join(', ')} FROM busbar_messages
       WHERE topic = ? AND partition = ? AND position > ? ORDER BY position LIMIT ${ROWS}`,
    )
    this.move = db.prepare(
      `UPDATE busbar_cursors SET position = ? WHERE grp = 'raw' AND topic = ${this.topic} AND partition = ?`,
    )
  }

  /** One row: one autocommit INSERT. More: INSERTs of many rows each, in one transaction. */
  insert(messages: readonly Message[]): void {
    if (messages.length <= ROWS) {
      this.insertRows(messages)
      return
    }
    this.db.exec('BEGIN IMMEDIATE')
    for (let from = 0; from < messages.length; from += ROWS) this.insertRows(messages.slice(from, from + ROWS))
    this.db.exec('COMMIT')
  }

  private insertRows(messages: readonly Message[]): void {
    const values: Value[] = []
    for (const message of messages) this.push(values, message)
    this.statement(messages.length).run(...values)
  }

  private push(values: Value[], message: Message): void {
    values.push(
      this.topic,
      this.turn++ % this.cursors.length,
      message.id,
      message.type,
      message.kind,
      message.source,
      message.subject ?? null,
      message.key ?? null,
      message.time.getTime(),
      message.version,
      null,
      null,
      'application/json',
      JSON.stringify(message.metadata),
      JSON.stringify(message.data),
    )
  }

  private statement(rows: number): StatementSync {
    const known = this.inserts.get(rows)
    if (known !== undefined) return known
    const row = `(${COLUMNS.map(() => '?').join(', ')})`
    const values = Array.from({ length: rows }, () => row).join(', ')
    const made = this.db.prepare(`INSERT INTO busbar_messages (${COLUMNS.join(', ')}) VALUES ${values}`)
    this.inserts.set(rows, made)
    return made
  }

  /** Rows of the next partition that has any. */
  next(): readonly LogRow[] {
    for (const _ of this.cursors) {
      const cursor = this.cursors[0] as (typeof this.cursors)[number]
      const rows = this.read.all(this.topic, cursor.partition, cursor.position) as unknown as LogRow[]
      if (rows.length > 0) return rows
      this.rotate()
    }
    return []
  }

  /** The rows of `next` are done with: one commit for all of them. */
  commit(rows: readonly LogRow[]): void {
    const cursor = this.cursors[0] as (typeof this.cursors)[number]
    cursor.position = rows.at(-1)?.position ?? cursor.position
    this.move.run(cursor.position, cursor.partition)
    this.rotate()
  }

  /** Forgets what waits. */
  skip(): void {
    const [last] = this.db.prepare('SELECT MAX(position) AS position FROM busbar_messages').all()
    for (const cursor of this.cursors) cursor.position = Number(last?.['position'] ?? 0)
  }

  private rotate(): void {
    const first = this.cursors.shift()
    if (first !== undefined) this.cursors.push(first)
  }
}
