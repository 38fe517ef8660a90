/** The two ways in which a CloudEvents event travels: attributes as headers beside the body, or all in one JSON text. */
import { COMMON_ATTRIBUTES, fromCloudEvent, toCloudEvent } from './cloudevents.ts'
import type { CloudEventAttributes } from './cloudevents.ts'
import { BYTES, isJson } from './content-type.ts'
import { ConfigurationError, DecodeError } from './errors.ts'
import { JsonCodec } from './json-codec.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage } from './message.ts'

/** How a protocol's binding writes attributes in headers. */
export interface Binding {
  readonly prefix: string
  /** Other prefixes that are read too. */
  readonly alsoRead?: readonly string[]
  /** Values are percent-encoded, as HTTP headers have to be. */
  readonly percent: boolean
}

/** The bindings of the CloudEvents specification. */
export const bindings = {
  http: { prefix: 'ce-', percent: true },
  nats: { prefix: 'ce-', percent: true },
  kafka: { prefix: 'ce_', percent: false },
  amqp: { prefix: 'cloudEvents:', alsoRead: ['cloudEvents_'], percent: false },
} as const satisfies Record<string, Binding>

export interface BinaryMode {
  /** With `content-type`, which AMQP wants as a property instead. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

export function toBinaryMode(message: EncodedMessage, binding: Binding): BinaryMode {
  const headers: Record<string, string> = {}
  const body = writeBinaryMode(message, binding, (name, value) => {
    headers[name] = value
  })
  return { headers, body }
}

/** The same for a client that has headers of its own kind: gives each to `write`, and back the body. */
export function writeBinaryMode(
  message: EncodedMessage,
  binding: Binding,
  write: (name: string, value: string) => void,
): string | Uint8Array {
  const { attributes } = toCloudEvent(message)
  write(CONTENT_TYPE, attributes['datacontenttype'] ?? message.contentType)
  for (const name of Object.keys(attributes)) {
    if (name === 'datacontenttype') continue
    const value = attributes[name] as string
    write(headerOf(name, binding), binding.percent ? percentEncoded(value) : value)
  }
  return wireBody(message)
}

/** Header values as clients give them: texts, UTF-8 bytes, numbers, booleans. */
export interface ReceivedHeaders {
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string | Uint8Array
}

/** Header names are read in any case. Headers that are none of CloudEvents are left out. @throws DecodeError */
export function fromBinaryMode({ headers, body }: ReceivedHeaders, binding: Binding): EncodedMessage {
  const attributes: Record<string, string> = {}
  for (const header of Object.keys(headers)) {
    const value = textOf(headers[header])
    if (value === undefined) continue
    const name = attributeOf(header, binding)
    if (name !== undefined) attributes[name] = attributeValue(name, value, binding)
  }
  return fromCloudEvent({ attributes, body })
}

export const CONTENT_TYPE = 'content-type'

/** The names that nearly all headers have, both ways: building and cutting them for each message costs more than all else. */
const known = new Map<Binding, { readonly written: Map<string, string>; readonly read: Map<string, string> }>(
  Object.values<Binding>(bindings).map((binding) => {
    const written = new Map(COMMON_ATTRIBUTES.map((name) => [name, binding.prefix + name]))
    const read = new Map([...written].map(([name, header]) => [header, name]))
    return [binding, { written, read: read.set(CONTENT_TYPE, 'datacontenttype') }]
  }),
)

function headerOf(attribute: string, binding: Binding): string {
  return known.get(binding)?.written.get(attribute) ?? binding.prefix + attribute
}

/** The attribute that a header holds, in any case; undefined: it is none of CloudEvents. */
export function attributeOf(header: string, binding: Binding): string | undefined {
  const common = known.get(binding)?.read.get(header)
  if (common !== undefined) return common
  const name = header.toLowerCase()
  for (const prefix of [binding.prefix, ...(binding.alsoRead ?? [])]) {
    if (name.startsWith(prefix.toLowerCase())) return name.slice(prefix.length)
  }
  return name === CONTENT_TYPE ? 'datacontenttype' : undefined
}

/** What a header says of an attribute. The content type is a header of the protocol's own, and never encoded. */
export function attributeValue(attribute: string, value: string, { percent }: Binding): string {
  return percent && attribute !== 'datacontenttype' ? percentDecoded(value) : value
}

/** Media type of what `toStructuredMode` writes. */
export const STRUCTURED = 'application/cloudevents+json'

/** JSON bodies are embedded as they are, others as text or base64. */
export function toStructuredMode(message: EncodedMessage): string {
  const head = JSON.stringify(toCloudEvent(message).attributes).slice(0, -1)
  const body = wireBody(message)
  if (typeof body !== 'string') return `${head},"data_base64":"${Buffer.from(body).toString('base64')}"}`
  return `${head},"data":${isJson(message.contentType) ? body : JSON.stringify(body)}}`
}

/** @throws DecodeError */
export function fromStructuredMode(text: string | Uint8Array, codec: JsonCodec = json): EncodedMessage {
  const event = codec.decode(text)
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new DecodeError('the body is no CloudEvents event: it is no JSON object')
  }
  const { data, data_base64: base64, ...rest } = event as Record<string, unknown>
  const attributes: Record<string, string> = {}
  for (const [name, value] of Object.entries(rest)) {
    const text = textOf(value)
    if (text !== undefined) attributes[name] = text
  }
  return fromCloudEvent({ attributes: withType(attributes, base64), body: structuredBody(attributes, data, base64) })
}

const json = new JsonCodec()

function withType(attributes: CloudEventAttributes, base64: unknown): CloudEventAttributes {
  if (base64 === undefined || attributes['datacontenttype'] !== undefined) return attributes
  return { ...attributes, datacontenttype: BYTES }
}

function structuredBody(attributes: CloudEventAttributes, data: unknown, base64: unknown): string | Uint8Array {
  if (typeof base64 === 'string') return Uint8Array.from(Buffer.from(base64, 'base64'))
  if (data === undefined) return isJson(attributes['datacontenttype']) ? 'null' : ''
  if (typeof data === 'string' && !isJson(attributes['datacontenttype'])) return data
  return JSON.stringify(data)
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined
}

function wireBody({ body, type, id }: EncodedMessage): string | Uint8Array {
  if (!(body instanceof Snapshot)) return body
  throw new ConfigurationError(
    `${type} ${id} holds a copy for this process, not text or bytes: only a broker whose capabilities say inProcess may carry it`,
  )
}

const TO_ENCODE = /[^\x21\x23\x24\x26-\x7e]/

/** Printable ASCII stays, but for space, double quote and percent (HTTP binding, section 3.1.3.2). */
function percentEncoded(value: string): string {
  if (!TO_ENCODE.test(value)) return value
  return value.replace(/[^\x21\x23\x24\x26-\x7e]+/gu, (run) =>
    [...Buffer.from(run, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

function percentDecoded(value: string): string {
  const unquoted = /^".*"$/.test(value) ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
  if (!unquoted.includes('%')) return unquoted
  return unquoted.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}
