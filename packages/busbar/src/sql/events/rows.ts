import type { EncodedMessage } from '../../message/message.ts'
import { EncodeError } from '../../message/errors.ts'
import { categoryOf, type StoredEvent } from '../../store/index.ts'
import type { SqlValue, Values } from '../executor.ts'
import { assertStorable, isStorable, MESSAGE_COLUMNS, messageAt, messageColumns, messageValues } from '../rows.ts'
import type { EventsDialect } from './dialect.ts'

/** Columns of an event, as they are written. */
export const EVENT_COLUMNS = [
  'topic',
  'partition',
  'stream',
  'stream_revision',
  'category',
  'correlation',
  'stored_at',
  ...MESSAGE_COLUMNS,
] as const

/** Where an event goes in the log. */
export interface Place {
  readonly topic: number
  readonly partition: number
  readonly stream: string
  readonly revision: number
  /** Unix milliseconds. */
  readonly storedAt: number
}

export function eventValues(message: EncodedMessage, place: Place): SqlValue[] {
  const { topic, partition, stream, revision, storedAt } = place
  const correlation = message.metadata.correlationId
  return messageValues(message, topic, partition, stream, revision, categoryOf(stream), correlation, storedAt)
}

/** @throws EncodeError for text that a database would change without a word. */
export function assertEventStorable(stream: string, message: EncodedMessage): void {
  assertStorable(message)
  if (!stream.isWellFormed())
    throw new EncodeError(`the name of stream ${JSON.stringify(stream)} has a lone surrogate`, 'stream')
  if (isStorable(message.metadata.correlationId)) return
  throw new EncodeError(
    `event ${message.id}: its correlation id has a lone surrogate or U+0000; nothing was written`,
    'metadata',
  )
}

/** Columns of an event, as they are read. */
export const READ_COLUMNS = `position, topic, stream, stream_revision, stored_at, ${messageColumns}`
const MESSAGE_AT = 5

export function topicOf(row: Values): number {
  return Number(row[1])
}

export function storedEvent(row: Values, topic: string, dialect: EventsDialect): StoredEvent {
  return {
    stream: row[2] as string,
    revision: Number(row[3]),
    position: dialect.positionOf(row[0]),
    storedAt: Number(row[4]),
    topic,
    message: messageAt(row, MESSAGE_AT),
  }
}

export { MESSAGE_AT }
