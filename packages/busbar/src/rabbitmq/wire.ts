/**
 * A message as an AMQP message: a CloudEvents event in binary mode (headers `cloudEvents:id` …, which an AMQP 1.0 client of
 * the same server sees as application properties), with headers of our own for what CloudEvents cannot say. Events of other writers
 * are read in binary mode, with either prefix of the specification, and in structured mode.
 */
import type { Message, Options } from 'amqplib'
import { bindings, fromBinaryMode, fromStructuredMode, STRUCTURED, toBinaryMode } from '../message/cloudevents-modes.ts'
import { isJson } from '../message/content-type.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'

/** `text` or `bytes`, where the content type would say something else. */
const BODY = 'busbar-body'
/** Names of attributes that are there and empty, or that must not be taken from another one. */
const EMPTY = 'busbar-empty'

/** Bytes that the attributes and metadata of one message may take; a dead letter adds its failure to them. */
export const MOST_HEADERS = 48 * 1024

export interface Wire {
  readonly content: Buffer
  readonly options: Options.Publish & { readonly headers: Readonly<Record<string, string>>; readonly messageId: string }
}

/** @throws MessageTooLargeError where attributes and metadata are too large for AMQP's headers */
export function toWire(message: EncodedMessage): Wire {
  const { headers: attributes, body } = toBinaryMode(message, bindings.amqp)
  const { 'content-type': contentType = message.contentType, ...rest } = attributes
  const headers: Record<string, string> = rest
  const text = typeof body === 'string'
  if (text !== isText(message.contentType)) headers[BODY] = text ? 'text' : 'bytes'
  const empty = emptyOf(message)
  if (empty !== '') headers[EMPTY] = empty
  assertFits(message, headers)
  const options = { persistent: true, contentType: short(contentType), messageId: short(message.id), headers }
  // What AMQP's own short fields cannot hold is found in the headers.
  if (options.contentType === '') headers['cloudEvents:datacontenttype'] = contentType
  return { content: text ? Buffer.from(body) : asBuffer(body), options }
}

/** @throws DecodeError where it is no CloudEvents event */
export function fromWire({ content, properties }: Message): EncodedMessage {
  const headers = properties.headers ?? {}
  const contentType = String(properties.contentType ?? headers['content-type'] ?? '')
  if (contentType.toLowerCase().startsWith(STRUCTURED)) return fromStructuredMode(content)
  const kind = headers[BODY]
  const text = kind === undefined ? isText(contentType === '' ? 'application/json' : contentType) : kind === 'text'
  const received: Record<string, unknown> = contentType === '' ? {} : { 'content-type': contentType }
  for (const [name, value] of Object.entries(headers)) received[name] = plain(value)
  const message = fromBinaryMode({ headers: received, body: bodyOf(content, text) }, bindings.amqp)
  const empty = headers[EMPTY]
  if (typeof empty !== 'string') return message
  const { key, subject, ...rest } = message
  const names = empty.split(',')
  return {
    ...rest,
    subject: names.includes('subject') ? '' : subject,
    key: names.includes('nokey') ? undefined : names.includes('key') ? '' : key,
  }
}

/** What is no event at all, so that it can be put aside whole. */
export function foreign(topic: string, place: string, content: Uint8Array): EncodedMessage {
  const id = `${topic}:${place}`
  return {
    id,
    type: 'unreadable',
    kind: 'event',
    source: 'rabbitmq',
    time: new Date(),
    version: 1,
    metadata: { correlationId: id },
    contentType: 'application/octet-stream',
    body: Uint8Array.from(content),
  }
}

function emptyOf({ subject, key }: EncodedMessage): string {
  if (subject === undefined && key !== '') return ''
  const names = subject === '' ? ['subject'] : []
  if (key === '') names.push('key')
  if (key === undefined && subject !== undefined) names.push('nokey')
  return names.join(',')
}

function assertFits({ id, type }: EncodedMessage, headers: Readonly<Record<string, string>>): void {
  let characters = 0
  for (const name in headers) characters += name.length + (headers[name]?.length ?? 0) + 6
  // Most messages are so small that nobody has to count their bytes.
  if (characters * 3 <= MOST_HEADERS) return
  let bytes = 0
  for (const [name, value] of Object.entries(headers)) bytes += name.length + Buffer.byteLength(value) + 6
  if (bytes <= MOST_HEADERS) return
  throw new MessageTooLargeError(
    `message ${id} (${type}) has ${bytes} bytes of attributes and metadata, and rabbitmq takes ${MOST_HEADERS}; nothing was sent. ` +
      'Move large metadata into the data',
  )
}

/** Fields of AMQP that are short strings hold 255 bytes. */
function short(text: string): string {
  return text.length <= 80 || Buffer.byteLength(text) <= 255 ? text : ''
}

/** Timestamps come in a wrapping of the client's; seconds are all that AMQP 0-9-1 has. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('!' in value)) return value
  const { '!': kind, value: inner } = value as { readonly '!': unknown; readonly value: unknown }
  return kind === 'timestamp' ? new Date(Number(inner) * 1_000).toISOString() : inner
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text that is not UTF-8 stays bytes: nothing is changed on the way. */
function bodyOf(content: Buffer, text: boolean): string | Uint8Array {
  if (!text) return Uint8Array.from(content)
  try {
    return utf8.decode(content)
  } catch {
    return Uint8Array.from(content)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isText(contentType: string): boolean {
  return isJson(contentType) || contentType.toLowerCase().startsWith('text/')
}
