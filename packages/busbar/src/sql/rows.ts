import type { EncodedMessage, Metadata, MessageKind, Priority } from '../message/message.ts'
import { Snapshot } from '../message/message.ts'
import { BrokerError } from '../broker/index.ts'
import type { Row, SqlValue } from './executor.ts'

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

type Writable<T> = { -readonly [K in keyof T]: T[K] }

export function messageOf(row: Row): EncodedMessage {
  const message: Writable<EncodedMessage> = {
    id: row['id'] as string,
    type: row['type'] as string,
    kind: row['kind'] as MessageKind,
    source: row['source'] as string,
    time: new Date(Number(row['time'])),
    version: Number(row['version']),
    metadata: JSON.parse(row['metadata'] as string) as Metadata,
    contentType: row['content_type'] as string,
    body: row['body'] as string | Uint8Array,
  }
  // An attribute that was absent stays absent, so that what comes back equals what was published.
  if (row['subject'] !== null) message.subject = row['subject'] as string
  if (row['key'] !== null) message.key = row['key'] as string
  if (row['revision'] !== null) message.revision = Number(row['revision'])
  if (row['priority'] !== null) message.priority = row['priority'] as Priority
  return message
}

/** Bytes of text or bytes. */
export function byteLength(body: EncodedMessage['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body)
  return body instanceof Uint8Array ? body.byteLength : 0
}
