/**
 * A message as a record of Kafka: a CloudEvents event in binary mode (`ce_` headers), the message's key as the record's.
 * Headers of our own say what CloudEvents cannot. Events of other writers are read in binary and in structured mode; where
 * they name no key, the record's key is taken.
 */
import { bindings, fromBinaryMode, fromStructuredMode, STRUCTURED, toBinaryMode } from '../message/cloudevents-modes.ts'
import { isJson } from '../message/content-type.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { LogRecord } from './records.ts'

/** `text` or `bytes`, where the content type would say something else. */
const BODY = 'busbar-body'
/** Names of attributes that are there and empty, or that must not be taken from another one. */
const EMPTY = 'busbar-empty'

/** Key, value and headers of a record to be written. */
export interface WireRecord {
  readonly key?: Buffer
  readonly value: Buffer
  readonly headers: Map<Buffer, Buffer>
  /** Bytes, roughly: what batches are measured by. */
  readonly size: number
}

/** `more`: headers of our own beside those of the message. `key`: instead of the message's. */
export function toWire(
  message: EncodedMessage,
  more?: Readonly<Record<string, string>>,
  key = message.key,
): WireRecord {
  const { headers: attributes, body } = toBinaryMode(message, bindings.kafka)
  const headers = new Map<Buffer, Buffer>()
  let size = 64
  const set = (name: string, text: string): void => {
    const value = Buffer.from(text, 'utf8')
    headers.set(nameOf(name), value)
    size += name.length + value.length + 4
  }
  for (const name in attributes) set(name, attributes[name] as string)
  const text = typeof body === 'string'
  if (text !== isText(message.contentType)) set(BODY, text ? 'text' : 'bytes')
  const empty = emptyOf(message)
  if (empty !== '') set(EMPTY, empty)
  for (const name in more) set(name, more[name] as string)
  const value = text ? Buffer.from(body, 'utf8') : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return { ...(key === undefined ? {} : { key: Buffer.from(key, 'utf8') }), value, headers, size: size + value.length }
}

function emptyOf({ subject, key }: EncodedMessage): string {
  const names: string[] = []
  if (subject === '') names.push('subject')
  if (key === '') names.push('key')
  if (key === undefined && subject !== undefined) names.push('nokey')
  return names.join(',')
}

/** @throws DecodeError where it is no CloudEvents event. */
export function fromWire({ headers, key, value }: LogRecord): EncodedMessage {
  const received: Record<string, string> = {}
  for (const [name, bytes] of headers) {
    if (name !== null) received[textOf(name).toLowerCase()] = bytes === null ? '' : bytes.toString('utf8')
  }
  const contentType = received['content-type'] ?? ''
  const data = value ?? Buffer.alloc(0)
  if (contentType.toLowerCase().startsWith(STRUCTURED)) return withKey(fromStructuredMode(data), key)
  const kind = received[BODY] ?? ''
  const text = kind === '' ? isText(contentType === '' ? 'application/json' : contentType) : kind === 'text'
  const message = fromBinaryMode({ headers: received, body: bodyOf(data, text) }, bindings.kafka)
  const empty = received[EMPTY]
  if (empty === undefined) return withKey(message, key)
  const names = empty.split(',')
  return {
    ...message,
    subject: names.includes('subject') ? '' : message.subject,
    key: names.includes('nokey') ? undefined : names.includes('key') ? '' : message.key,
  }
}

/** The value of a header of our own; undefined where there is none. */
export function headerOf({ headers }: LogRecord, name: string): string | undefined {
  for (const [header, value] of headers)
    if (header !== null && value !== null && textOf(header) === name) return value.toString('utf8')
  return undefined
}

/** What is no event at all, so that it can be put aside whole. */
export function foreign(topic: string, place: string, { key, value }: LogRecord): EncodedMessage {
  const id = `${topic}:${place}`
  return {
    id,
    type: 'unreadable',
    kind: 'event',
    source: 'kafka',
    ...(key === null ? {} : { key: key.toString('utf8') }),
    time: new Date(),
    version: 1,
    metadata: { correlationId: id },
    contentType: 'application/octet-stream',
    body: Uint8Array.from(value ?? []),
  }
}

/** A record that deletes what a topic keeps of its key. */
export function tombstone(key: string): { key: Buffer; value: Buffer; size: number } {
  // The client's types know no record without a value, its writer does.
  return { key: Buffer.from(key, 'utf8'), value: null as unknown as Buffer, size: 64 + key.length }
}

function withKey(message: EncodedMessage, key: Buffer | null): EncodedMessage {
  return message.key === undefined && key !== null ? { ...message, key: key.toString('utf8') } : message
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text that is not UTF-8 stays bytes: nothing is changed on the way. */
function bodyOf(data: Buffer, text: boolean): string | Uint8Array {
  if (!text) return Uint8Array.from(data)
  try {
    return utf8.decode(data)
  } catch {
    return Uint8Array.from(data)
  }
}

function isText(contentType: string): boolean {
  return isJson(contentType) || contentType.toLowerCase().startsWith('text/')
}

/** Header names are few and come again and again. */
const names = new Map<string, Buffer>()
function nameOf(name: string): Buffer {
  let bytes = names.get(name)
  if (bytes === undefined) {
    bytes = Buffer.from(name, 'utf8')
    if (names.size < 1_000) names.set(name, bytes)
  }
  return bytes
}

function textOf(name: Buffer): string {
  return name.toString('utf8')
}
