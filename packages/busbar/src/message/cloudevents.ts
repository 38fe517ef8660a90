/**
 * Busbar's attributes as those of a CloudEvents 1.0 event, both ways.
 *
 * | Busbar | CloudEvents |
 * |---|---|
 * | `id`, `type`, `subject` | the same |
 * | `source` | `source`; a name that is no URI reference is written `busbar:<percent-encoded name>` |
 * | `time` | `time` |
 * | `contentType` | `datacontenttype` |
 * | `key` | `partitionkey` (partitioning extension) |
 * | `version` | `dataversion` |
 * | `kind`, `revision`, `priority` | extensions of the same names |
 * | `metadata.correlationId`, `causationId` | `correlationid`, `causationid` (correlation extension) |
 * | `metadata.traceparent`, `tracestate` | the same (distributed tracing extension) |
 * | `metadata.userId`, `tenantId` | `userid`, `tenantid` |
 * | other metadata | an extension of the same name where that is 1 to 20 of `a-z0-9`, else `hx` and the name with every other character, and `x`, as `x` and two hex digits a byte |
 *
 * Missing on reading: `kind` is `event`, `version` 1, the correlation id the message's own, `time` the moment of reading.
 */
import { DecodeError } from './errors.ts'
import { headerName, metadataName } from './header-names.ts'
import { EventPriority } from './message.ts'
import type { Body, EncodedMessage, MessageKind, Metadata, Priority } from './message.ts'

/** Attribute names are `a-z0-9`; values are text, whatever their type in CloudEvents. */
export type CloudEventAttributes = Readonly<Record<string, string>>

export interface CloudEventParts {
  readonly attributes: CloudEventAttributes
  readonly body: Body
}

/** Optional attributes that are empty texts are left out: CloudEvents knows no empty ones. */
export function toCloudEvent(message: EncodedMessage): CloudEventParts {
  const attributes: Record<string, string> = {
    specversion: '1.0',
    id: message.id,
    type: message.type,
    source: toSource(message.source),
    time: textOfTime(message.time),
    datacontenttype: message.contentType,
    kind: message.kind,
    dataversion: String(message.version),
  }
  if (message.subject !== undefined && message.subject !== '') attributes['subject'] = message.subject
  if (message.key !== undefined && message.key !== '') attributes['partitionkey'] = message.key
  if (message.revision !== undefined) attributes['revision'] = String(message.revision)
  if (message.priority !== undefined) attributes['priority'] = message.priority
  for (const [name, value] of Object.entries(message.metadata)) {
    if (value !== undefined) attributes[headerName(name)] = value
  }
  return { attributes, body: message.body }
}

/**
 * A message of any CloudEvents 1.0 event, whoever wrote it. Extensions that Busbar does not know become metadata,
 * and so do those that it knows with values that it does not.
 *
 * @throws DecodeError when a required attribute is missing or the version of CloudEvents is another one.
 */
export function fromCloudEvent({ attributes, body }: CloudEventParts): EncodedMessage {
  const { specversion, id: givenId, type, source, subject, time, partitionkey: key } = attributes
  if (required('specversion', specversion) !== '1.0') {
    throw new DecodeError(
      `the body is of CloudEvents version ${JSON.stringify(specversion?.slice(0, 20))}; Busbar reads 1.0`,
    )
  }
  const id = required('id', givenId)
  const own = {
    kind: read(attributes['kind'], asKind),
    dataversion: read(attributes['dataversion'], asVersion),
    revision: read(attributes['revision'], asRevision),
    priority: read(attributes['priority'], asPriority),
  }
  return {
    id,
    type: required('type', type),
    source: fromSource(required('source', source)),
    kind: own.kind ?? 'event',
    subject,
    key: key ?? subject,
    time: asTime(time),
    version: own.dataversion ?? 1,
    revision: own.revision,
    priority: own.priority,
    contentType: attributes['datacontenttype'] ?? 'application/json',
    metadata: asMetadata(attributes, own, id),
    body,
  }
}

function read<T>(text: string | undefined, as: (text: string) => T | undefined): T | undefined {
  return text === undefined ? undefined : as(text)
}

function required(name: string, text: string | undefined): string {
  if (text !== undefined && text !== '') return text
  throw new DecodeError(`the message is no CloudEvents event: it has no ${name}`)
}

function asTime(text: string | undefined): Date {
  if (text === undefined) return new Date()
  if (text !== last.text) {
    const time = Date.parse(text)
    if (Number.isNaN(time)) throw new DecodeError('the time of the CloudEvents event is no RFC 3339 timestamp')
    last = { text, time }
  }
  return new Date(last.time)
}

function textOfTime(date: Date): string {
  const time = date.getTime()
  if (time !== lastWritten.time) lastWritten = { text: date.toISOString(), time }
  return lastWritten.text
}

/** Messages that follow each other are mostly of the same millisecond, and reading and writing one is dear. */
let last = { text: '', time: Number.NaN }
let lastWritten = last

const KINDS: readonly string[] = ['event', 'command', 'query', 'reply'] satisfies readonly MessageKind[]
const PRIORITIES: readonly string[] = Object.values(EventPriority)

const asKind = (text: string): MessageKind | undefined => (KINDS.includes(text) ? (text as MessageKind) : undefined)
const asPriority = (text: string): Priority | undefined => (PRIORITIES.includes(text) ? (text as Priority) : undefined)
const asVersion = (text: string): number | undefined => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined)
const asRevision = (text: string): number | undefined => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)

/** Attributes that are always what Busbar takes them for. */
const TAKEN = 'specversion id type source subject partitionkey time datacontenttype'.split(' ')
const isTaken: ReadonlySet<string> = new Set(TAKEN)

/** What nearly every event has. */
export const COMMON_ATTRIBUTES: readonly string[] = [
  ...TAKEN,
  ...'kind dataversion correlationid causationid traceparent'.split(' '),
]

/** What is left. `own`: attributes of Busbar's own, undefined where they hold what it does not know. */
function asMetadata(attributes: CloudEventAttributes, own: Readonly<Record<string, unknown>>, id: string): Metadata {
  const metadata: Record<string, string> & { correlationId?: string } = {}
  for (const name of Object.keys(attributes)) {
    if (isTaken.has(name) || (Object.hasOwn(own, name) && own[name] !== undefined)) continue
    put(metadata, metadataName(name), attributes[name] as string)
  }
  metadata.correlationId ??= id
  return metadata as Record<string, string> & { correlationId: string }
}

/** A header called `__proto__` is a header. */
function put(metadata: Record<string, string>, name: string, value: string): void {
  if (name !== '__proto__') metadata[name] = value
  else Object.defineProperty(metadata, name, { value, enumerable: true, configurable: true, writable: true })
}

/** Absolute URIs, and references that cannot be mistaken for anything else. */
const REFERENCE =
  /^(?:[a-z][a-z0-9+.-]*:)?(?:[a-z0-9._~/-]|%[0-9a-f]{2})+(?:[?#](?:[a-z0-9._~/?&=+-]|%[0-9a-f]{2})*)?$/i
const NAMED = 'busbar:'

function toSource(name: string): string {
  if (REFERENCE.test(name) && !name.startsWith(NAMED)) return name
  return NAMED + encodeURIComponent(name.toWellFormed())
}

function fromSource(source: string): string {
  if (!source.startsWith(NAMED)) return source
  try {
    return decodeURIComponent(source.slice(NAMED.length))
  } catch {
    return source
  }
}
