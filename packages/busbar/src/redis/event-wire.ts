import { EncodeError, MessageTooLargeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import { type Append, categoryOf, type StoredEvent } from '../store/index.ts'
import { type Field, fromFields, toFields } from './wire.ts'

const TOPIC = '~topic'
/** What stands before the message's own fields: see `scripts/events.ts`. */
const [STREAM, REVISION, AT] = ['~stream', '~revision', '~at']
/** A position is a number to the server, and to readers a text that sorts. */
const DIGITS = 16

/** More fields than a script may hand on at once would fail it. */
const MOST_HEADERS = 2_000

/** Arguments of the script `append`. @throws MessageTooLargeError, EncodeError where an event cannot be kept as it is. */
export function toArguments(appends: readonly Append[]): Field[] {
  const args: Field[] = [String(appends.length)]
  for (const { stream, expected, events } of appends) {
    args.push(stream, categoryOf(stream), String(expected), String(events.length))
    assertWellFormed(stream, `the name of stream ${JSON.stringify(stream)}`, 'stream')
    for (const { topic, message } of events) {
      assertKeepable(message)
      const fields = [TOPIC, topic, ...toFields(message)]
      args.push(message.id, message.type, message.metadata.correlationId, String(fields.length))
      for (const field of fields) args.push(field)
    }
  }
  return args
}

/** @throws DecodeError where it is no event. */
export function fromEntry(id: string, fields: readonly Buffer[], where: string): StoredEvent {
  const own = new Map<string, string>()
  // They stand in front.
  for (let n = 0; n < 8 && n + 1 < fields.length; n += 2) own.set(String(fields[n]), String(fields[n + 1]))
  const { message, error } = fromFields(fields, `${id} of ${where}`)
  if (error !== undefined) throw error
  return {
    stream: own.get(STREAM) ?? '',
    revision: Number(own.get(REVISION)),
    position: positionOf(id.replace(/-.*$/, '')),
    storedAt: Number(own.get(AT)),
    topic: own.get(TOPIC) ?? '',
    message,
  }
}

export function positionOf(number: string): string {
  return number.padStart(DIGITS, '0')
}

/** The number of a position; undefined where it is none of this store. */
export function numberOf(position: string): string | undefined {
  if (position === '') return '0'
  return /^\d{16}$/.test(position) ? String(Number(position)) : undefined
}

/** What an entry takes, roughly. */
export function sizeOf(fields: readonly Buffer[]): number {
  let size = 0
  for (const field of fields) size += field.length
  return size
}

function assertKeepable(message: EncodedMessage): void {
  const { id, type, body, metadata } = message
  const headers = Object.entries(metadata)
  if (headers.length > MOST_HEADERS) {
    throw new MessageTooLargeError(
      `event ${id} (${type}) has ${headers.length} headers, and redis takes ${MOST_HEADERS}; nothing was written. ` +
        'Put them into the data',
    )
  }
  if (typeof body === 'string') assertWellFormed(body, `the body of event ${id} (${type})`, '')
  for (const [name, value = ''] of headers) assertWellFormed(name + value, `metadata of event ${id} (${type})`, name)
  for (const name of ['id', 'type', 'subject', 'key', 'contentType'] as const) {
    assertWellFormed(message[name] ?? '', `${name} of event ${id} (${type})`, name)
  }
}

/** Half a character cannot be written as UTF-8: it would come back as another one. */
function assertWellFormed(text: string, what: string, path: string): void {
  if (text.isWellFormed()) return
  throw new EncodeError(`${what} has a lone surrogate; nothing was written`, path)
}
