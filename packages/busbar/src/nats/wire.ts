/**
 * A message as a NATS message: a CloudEvents event in binary mode (`ce-` headers, percent-encoded), with headers of our
 * own for what CloudEvents cannot say. Events of other writers are read in binary and in structured mode.
 */
import type { MsgHdrs } from '@nats-io/transport-node'
import {
  attributeOf,
  attributeValue,
  bindings,
  CONTENT_TYPE,
  fromStructuredMode,
  STRUCTURED,
  writeBinaryMode,
} from '../message/cloudevents-modes.ts'
import { fromCloudEvent } from '../message/cloudevents.ts'
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

/** Makes headers of what holds no line breaks, which it does not check. */
export type MakeHeaders = (values?: Record<string, string[]>) => MsgHdrs

/** Within the duplicate window of a stream the same id is the same message. */
const MESSAGE_ID = 'Nats-Msg-Id'

/**
 * The headers in one go: the client's `append` looks through all of them before, and that is most of what writing them costs. It is left
 * to what may be anybody's text; attributes are percent-encoded.
 *
 * @param id By which the server knows the message.
 */
export function toWire(message: EncodedMessage, headers: MakeHeaders, id?: string): Wire {
  const values: Record<string, string[]> = {}
  const others: [string, string][] = []
  const put = (name: string, value: string): void => {
    if (PLAIN.test(value)) values[name] = [value]
    else others.push([name, value])
  }
  const body = writeBinaryMode(message, bindings.nats, (name, value) => {
    if (name === CONTENT_TYPE) put(name, value)
    else values[name] = [value]
  })
  if (id !== undefined) put(MESSAGE_ID, id)
  const set = headers(values)
  for (const [name, value] of others) set.append(name, value)
  const text = typeof body === 'string'
  if (text !== isText(message.contentType)) set.append(BODY, text ? 'text' : 'bytes')
  const { subject, key } = message
  if (subject === '' || key === '' || (key === undefined && subject !== undefined)) set.append(EMPTY, emptyOf(message))
  return { headers: set, data: body }
}

/** What no client would change or refuse in a header. */
const PLAIN = /^[\x21-\x7e]+$/

function emptyOf({ subject, key }: EncodedMessage): string {
  return [
    ...(subject === '' ? ['subject'] : []),
    ...(key === '' ? ['key'] : []),
    ...(key === undefined && subject !== undefined ? ['nokey'] : []),
  ].join(',')
}

/** @throws DecodeError where it is no CloudEvents event. */
export function fromWire(headers: MsgHdrs | undefined, data: Uint8Array): EncodedMessage {
  const { attributes, kind, empty } = received(headers)
  const contentType = attributes['datacontenttype'] ?? ''
  if (contentType.toLowerCase().startsWith(STRUCTURED)) return fromStructuredMode(data)
  const text = kind === undefined ? isText(contentType === '' ? 'application/json' : contentType) : kind === 'text'
  const message = fromCloudEvent({ attributes, body: bodyOf(data, text) })
  if (empty === undefined) return message
  const { key, subject, ...rest } = message
  const names = empty.split(',')
  return {
    ...rest,
    subject: names.includes('subject') ? '' : subject,
    key: names.includes('nokey') ? undefined : names.includes('key') ? '' : key,
  }
}

interface Received {
  readonly attributes: Record<string, string>
  kind?: string
  empty?: string
}

/** The first value of each header. Once through: the client looks through all of them for each that it is asked for. */
function received(headers: MsgHdrs | undefined): Received {
  const found: Received = { attributes: {} }
  for (const [header, [value = '']] of headers ?? []) {
    const name = attributeOf(header, bindings.nats)
    if (name !== undefined) {
      // Not `??=`: there may be one called `constructor`.
      if (Object.hasOwn(found.attributes, name)) continue
      found.attributes[name] = attributeValue(name, value, bindings.nats)
    } else if (header.toLowerCase() === BODY) found.kind ??= value
    else if (header.toLowerCase() === EMPTY) found.empty ??= value
  }
  return found
}

/** Bytes that it takes on the wire. */
export function sizeOf({ headers, data }: Wire): number {
  let size = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength
  for (const [name, values] of headers) for (const value of values) size += name.length + Buffer.byteLength(value) + 4
  return size
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
