/**
 * A message as a NATS message: a CloudEvents event in binary mode (`ce-` headers, percent-encoded), with headers of our
 * own for what CloudEvents cannot say. Events of other writers are read in binary and in structured mode.
 */
import type { MsgHdrs } from '@nats-io/transport-node'
import { bindings, fromBinaryMode, fromStructuredMode, STRUCTURED, toBinaryMode } from '../message/cloudevents-modes.ts'
import { isJson } from '../message/content-type.ts'
import type { EncodedMessage } from '../message/message.ts'

/** `text` or `bytes`, where the content type would say something else. */
const BODY = 'busbar-body'
/** Names of attributes that are there and empty, or that must not be taken from another one. */
const EMPTY = 'busbar-empty'

export interface Wire {
  readonly headers: MsgHdrs
  readonly data: string | Uint8Array
}

/** `headers` is what makes an empty set of headers. */
export function toWire(message: EncodedMessage, headers: () => MsgHdrs): Wire {
  const set = headers()
  const { headers: attributes, body } = toBinaryMode(message, bindings.nats)
  for (const [name, value] of Object.entries(attributes)) set.append(name, value)
  const text = typeof body === 'string'
  if (text !== isText(message.contentType)) set.append(BODY, text ? 'text' : 'bytes')
  const empty = [
    ...(message.subject === '' ? ['subject'] : []),
    ...(message.key === '' ? ['key'] : []),
    ...(message.key === undefined && message.subject !== undefined ? ['nokey'] : []),
  ]
  if (empty.length > 0) set.append(EMPTY, empty.join(','))
  return { headers: set, data: body }
}

/** @throws DecodeError where it is no CloudEvents event. */
export function fromWire(headers: MsgHdrs | undefined, data: Uint8Array): EncodedMessage {
  const received = inLowerCase(headers)
  const { 'content-type': contentType = '', [BODY]: kind, [EMPTY]: empty } = received
  if (contentType.toLowerCase().startsWith(STRUCTURED)) return fromStructuredMode(data)
  const text = kind === undefined ? isText(contentType === '' ? 'application/json' : contentType) : kind === 'text'
  const message = fromBinaryMode({ headers: received, body: bodyOf(data, text) }, bindings.nats)
  if (empty === undefined) return message
  const { key, subject, ...rest } = message
  const names = empty.split(',')
  return {
    ...rest,
    subject: names.includes('subject') ? '' : subject,
    key: names.includes('nokey') ? undefined : names.includes('key') ? '' : key,
  }
}

/** Bytes that it takes on the wire. */
export function sizeOf({ headers, data }: Wire): number {
  let size = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength
  for (const [name, values] of headers) for (const value of values) size += name.length + Buffer.byteLength(value) + 4
  return size
}

/** The first value of each header. Once through: the client looks through all of them for each that it is asked for. */
function inLowerCase(headers: MsgHdrs | undefined): Record<string, string> {
  const received: Record<string, string> = {}
  for (const [name, [value = '']] of headers ?? []) received[name.toLowerCase()] ??= value
  return received
}

/** The value of a header in any case; empty where there is none. */
export function headerOf(headers: MsgHdrs | undefined, name: string): string {
  if (headers === undefined) return ''
  const exact = headers.get(name)
  if (exact !== '') return exact
  for (const key of headers.keys()) if (key.toLowerCase() === name) return headers.get(key)
  return ''
}

/** What is no event at all, so that it can be put aside whole. */
export function foreign(topic: string, place: string, data: Uint8Array): EncodedMessage {
  const id = `${topic}:${place}`
  return {
    id,
    type: 'unreadable',
    kind: 'event',
    source: 'nats',
    time: new Date(),
    version: 1,
    metadata: { correlationId: id },
    contentType: 'application/octet-stream',
    body: Uint8Array.from(data),
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text that is not UTF-8 stays bytes: nothing is changed on the way. */
function bodyOf(data: Uint8Array, text: boolean): string | Uint8Array {
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
