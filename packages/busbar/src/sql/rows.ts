import type { EncodedMessage, Metadata, MessageKind, Priority } from '../message/message.ts'
import { Snapshot } from '../message/message.ts'
import { EncodeError } from '../message/errors.ts'
import { BrokerError } from '../broker/index.ts'
import type { Row, SqlValue, Values } from './executor.ts'

/** Columns of a message, in every table that holds one. They are the CloudEvents attributes, one column each. */
export const MESSAGE_COLUMNS = [
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
] as const

const BODY = MESSAGE_COLUMNS.length - 1

export const messageColumns = MESSAGE_COLUMNS.join(', ')

/** `?, ?, ?` */
export function placeholders(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ')
}

/** Values of `MESSAGE_COLUMNS`, after those of `first`. */
export function messageValues(message: EncodedMessage, ...first: SqlValue[]): SqlValue[] {
  const { body } = message
  if (body instanceof Snapshot)
    throw new BrokerError(`message ${message.id} has no encoded body: a database takes text or bytes`)
  first.push(
    message.id,
    message.type,
    message.kind,
    message.source,
    message.subject ?? null,
    message.key ?? null,
    message.time.getTime(),
    message.version,
    message.revision ?? null,
    message.priority ?? null,
    message.contentType,
    JSON.stringify(message.metadata),
    body,
  )
  return first
}

/**
 * Refuses text that a database would change without a word: a lone surrogate has no UTF-8, and U+0000 ends text in
 * Postgres and in the SQLite of Node 22. JSON writes both as escapes, so bodies and metadata of JSON never have them.
 */
export function assertStorable({ id, type, source, subject, key, body }: EncodedMessage): void {
  if (!isStorable(id)) throw unstorable(id, 'id')
  if (!isStorable(type)) throw unstorable(id, 'type')
  if (!isStorable(source)) throw unstorable(id, 'source')
  if (key !== undefined && !isStorable(key)) throw unstorable(id, 'key')
  if (subject !== undefined && subject !== key && !isStorable(subject)) throw unstorable(id, 'subject')
  if (typeof body === 'string' && !isStorable(body)) throw unstorable(id, 'body')
}

export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

function unstorable(id: string, attribute: string): EncodeError {
  const what = `message ${JSON.stringify(id)}: its ${attribute} has a lone surrogate or U+0000, which a database cannot keep as text`
  return new EncodeError(`${what}; nothing was sent. Send it as bytes, or escape it`, attribute)
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** The message whose `MESSAGE_COLUMNS` begin at `from` in the row. */
export function messageAt(row: Values, from: number): EncodedMessage {
  const message: Writable<EncodedMessage> = {
    id: row[from] as string,
    type: row[from + 1] as string,
    kind: row[from + 2] as MessageKind,
    source: row[from + 3] as string,
    time: new Date(Number(row[from + 6])),
    version: Number(row[from + 7]),
    metadata: JSON.parse(row[from + 11] as string) as Metadata,
    contentType: row[from + 10] as string,
    body: row[from + BODY] as string | Uint8Array,
  }
  // An attribute that was absent stays absent, so that what comes back equals what was published.
  if (row[from + 4] !== null) message.subject = row[from + 4] as string
  if (row[from + 5] !== null) message.key = row[from + 5] as string
  if (row[from + 8] !== null) message.revision = Number(row[from + 8])
  if (row[from + 9] !== null) message.priority = row[from + 9] as Priority
  return message
}

/** The same of a row with names. */
export function messageOf(row: Row): EncodedMessage {
  return messageAt(
    MESSAGE_COLUMNS.map((column) => row[column] ?? null),
    0,
  )
}

/** Size of the body, in bytes or UTF-16 units: enough to bound memory. */
export function bodySize(row: Values, from: number): number {
  return (row[from + BODY] as string | Uint8Array).length
}
