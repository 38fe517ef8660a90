/**
 * A message as a record of Kafka: a CloudEvents event in binary mode (`ce_` headers), the message's key as the record's.
 * Headers of our own say what CloudEvents cannot. Events of other writers are read in binary and in structured mode; where
 * they name no key, the record's key is taken.
 */
import { fromCloudEvent } from '../message/cloudevents.ts'
import { bindings, fromStructuredMode, STRUCTURED, toBinaryMode } from '../message/cloudevents-modes.ts'
import { isJson } from '../message/content-type.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { ToWrite } from './batch.ts'
import type { LogRecord } from './records.ts'

/** `text` or `bytes`, where the content type would say something else. */
const BODY = 'busbar-body'
/** Names of attributes that are there and empty, or that must not be taken from another one. */
const EMPTY = 'busbar-empty'

/** `more`: headers of our own beside those of the message. `key`: instead of the message's. */
export function toWire(
  message: EncodedMessage,
  more?: Readonly<Record<string, string>>,
  key = message.key,
): ToWrite & { readonly value: Buffer } {
  const { headers: attributes, body } = toBinaryMode(message, bindings.kafka)
  const headers: [Buffer, string][] = []
  let size = 0
  const set = (name: string, text: string): void => {
    const bytes = nameOf(name)
    headers.push([bytes, text])
    // Three bytes a character at most, and two lengths.
    size += bytes.length + text.length * 3 + 10
  }
  for (const name in attributes) set(name, attributes[name] as string)
  const text = typeof body === 'string'
  if (text !== isText(message.contentType)) set(BODY, text ? 'text' : 'bytes')
  const empty = emptyOf(message)
  if (empty !== '') set(EMPTY, empty)
  for (const name in more) set(name, more[name] as string)
  const value = text ? Buffer.from(body, 'utf8') : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (key === undefined) return { value, headers, size: size + value.length }
  const bytes = Buffer.from(key, 'utf8')
  return { key: bytes, value, headers, size: size + bytes.length + value.length }
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
  const attributes: Record<string, string> = {}
  let kind: string | undefined
  let empty: string | undefined
  for (let place = 0; place < headers.length; place++) {
    const [name, bytes] = headers[place] as LogRecord['headers'][number]
    if (name === null) continue
    const { attribute, own } = meaningOf(name, place)
    if (attribute === undefined && own === undefined) continue
    const text = bytes === null ? '' : bytes.toString('utf8')
    if (attribute !== undefined) attributes[attribute] = text
    else if (own === BODY) kind = text
    else if (own === EMPTY) empty = text
  }
  const contentType = attributes['datacontenttype'] ?? ''
  const data = value ?? Buffer.alloc(0)
  if (contentType.toLowerCase().startsWith(STRUCTURED)) return withKey(fromStructuredMode(data), key)
  const text = kind === undefined ? isText(contentType === '' ? 'application/json' : contentType) : kind === 'text'
  const message = fromCloudEvent({ attributes, body: bodyOf(data, text) })
  if (empty === undefined) return withKey(message, key)
  const names = empty.split(',')
  return {
    ...message,
    subject: names.includes('subject') ? '' : message.subject,
    key: names.includes('nokey') ? undefined : names.includes('key') ? '' : message.key,
  }
}

/** What a header is to us: an attribute of CloudEvents, one of our own, or nothing. */
interface Meaning {
  readonly bytes: Buffer
  readonly attribute?: string
  readonly own?: string
}

/** What one writer writes has the same headers in the same places, so what was found there last is mostly right. */
const meanings: Meaning[] = []
const PLACES = 64

function meaningOf(name: Buffer, place: number): Meaning {
  const last = meanings[place]
  if (last !== undefined && isSame(last.bytes, name)) return last
  const text = name.toString('utf8').toLowerCase()
  // A copy: the other is a part of all that was fetched with it.
  const bytes = Buffer.from(name)
  const { prefix } = bindings.kafka
  const meaning = text.startsWith(prefix)
    ? { bytes, attribute: text.slice(prefix.length) }
    : text === 'content-type'
      ? { bytes, attribute: 'datacontenttype' }
      : { bytes, own: text }
  if (place < PLACES) meanings[place] = meaning
  return meaning
}

function isSame(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  // From the end: the beginnings are alike.
  for (let n = a.length - 1; n >= 0; n--) if (a[n] !== b[n]) return false
  return true
}

/** The value of a header of our own; undefined where there is none. */
export function headerOf({ headers }: LogRecord, name: string): string | undefined {
  for (const [header, value] of headers)
    if (header !== null && value !== null && header.toString('utf8') === name) return value.toString('utf8')
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
export function tombstone(key: string): ToWrite {
  const bytes = Buffer.from(key, 'utf8')
  return { key: bytes, value: null, size: bytes.length }
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
