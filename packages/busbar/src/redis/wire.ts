import { fromCloudEvent, toCloudEvent } from '../message/cloudevents.ts'
import { ConfigurationError, DecodeError } from '../message/errors.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'
import { Texts } from './texts.ts'

/**
 * A message as fields of a stream entry or hash: the attributes of the CloudEvents event under their own names, the body in
 * `data` where it is text and in `databytes` where it is bytes. Another client may leave out all that CloudEvents calls
 * optional. An empty `partitionkey` says that a message with a subject has no key.
 */
export const TEXT = 'data'
export const BYTES = 'databytes'
const KEY = 'partitionkey'

export type Field = string | Buffer

/** The attributes, and the body as it is kept. @throws ConfigurationError where it holds what only this process can read. */
export function toParts(message: EncodedMessage): { attributes: Record<string, string>; body: Field } {
  const { body } = message
  if (body instanceof Snapshot) {
    throw new ConfigurationError(`${message.type} ${message.id} holds a copy for this process, not text or bytes`)
  }
  const attributes: Record<string, string> = toCloudEvent(message).attributes
  if (message.subject !== undefined && message.key === undefined) attributes[KEY] = ''
  return {
    attributes,
    body: typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  }
}

export function toFields(message: EncodedMessage): Field[] {
  const { attributes, body } = toParts(message)
  const fields: Field[] = []
  for (const name in attributes) fields.push(name, attributes[name] as string)
  fields.push(typeof body === 'string' ? TEXT : BYTES, body)
  return fields
}

/** The message, and what is wrong with it where it is none: then it holds the raw bytes. */
export interface Received {
  readonly message: EncodedMessage
  readonly error?: DecodeError
}

/** `place` names what cannot be read. */
export function fromFields(fields: readonly Buffer[], place: string): Received {
  const texts = new Texts(fields)
  const attributes: Record<string, string> = {}
  let body: string | Uint8Array = ''
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = nameOf(texts, index)
    if (name === TEXT) body = texts.at(index + 1)
    else if (name === BYTES) body = Uint8Array.from(fields[index + 1] as Buffer)
    else if (!name.startsWith('~')) attributes[name] = texts.at(index + 1)
  }
  return fromAttributes(attributes, body, place)
}

/** The same of attributes that have been read. They are changed. */
export function fromAttributes(attributes: Record<string, string>, body: string | Uint8Array, place: string): Received {
  const keyless = attributes[KEY] === ''
  if (keyless) delete attributes[KEY]
  try {
    const message = fromCloudEvent({ attributes, body })
    return { message: keyless ? { ...message, key: undefined } : message }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { message: unreadable(attributes, body, place), error }
  }
}

/** Names that fields had when they were last read, by their place: mostly they are the same again. */
const names: string[] = []
const MOST_NAMES = 64

function nameOf(texts: Texts, index: number): string {
  const before = names[index / 2]
  if (before !== undefined && texts.is(index, before)) return before
  const name = texts.at(index)
  if (index / 2 < MOST_NAMES) names[index / 2] = name
  return name
}

function unreadable(attributes: Record<string, string>, body: string | Uint8Array, place: string): EncodedMessage {
  const id = attributes['id'] ?? place
  return {
    id,
    type: attributes['type'] ?? 'unreadable',
    kind: 'event',
    source: attributes['source'] ?? 'redis',
    time: new Date(),
    version: 1,
    contentType: 'application/octet-stream',
    metadata: { correlationId: id },
    // What is left where there is no body at all.
    body: body === '' ? JSON.stringify(attributes) : body,
  }
}
