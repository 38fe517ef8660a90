import type { Codec } from './codec.ts'
import { BYTES, codecFor } from './content-type.ts'
import type { Definition } from './definition.ts'
import { Envelope } from './envelope.ts'
import { ValidationError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage, Message } from './message.ts'
import { withoutPersonal } from './personal.ts'
import type { Outcome } from './schema.ts'

/**
 * Makes a message of what a broker delivered: decoded, brought to the contract's version, validated (the schema's
 * output is the data, with Dates where it wants them) and, for event classes, made an instance. Every call gives data
 * of its own, so that no handler sees what another one changed. Synchronous wherever the schema is.
 *
 * Without a contract the data is passed through as decoded.
 *
 * @throws DecodeError when the body cannot be read, ValidationError when the data does not fit the contract.
 */
export function open(
  encoded: EncodedMessage,
  definition: Definition | undefined,
  codec: Codec,
): Message | Promise<Message> {
  const data = read(encoded, codec)
  const { version } = encoded
  if (definition === undefined) return envelope(encoded, data, undefined)
  if (version === definition.version) return validated(encoded, definition, data)
  return validated({ ...encoded, version: definition.version }, definition, definition.upcast(data, version))
}

function read({ body, contentType }: EncodedMessage, codec: Codec): unknown {
  if (contentType === BYTES) return bytesOf(body)
  const own = contentType === codec.contentType ? codec : codecFor(contentType, codec)
  if (!(body instanceof Snapshot)) return own.decode(body)
  return own.copy === undefined ? own.snapshot(body.value) : own.copy(body.value)
}

/** A copy, as an ordinary `Uint8Array` whatever the broker's client gave. */
function bytesOf(body: EncodedMessage['body']): Uint8Array {
  const bytes = body instanceof Snapshot ? body.value : body
  return typeof bytes === 'string' ? new TextEncoder().encode(bytes) : Uint8Array.from(bytes as Uint8Array)
}

function validated(attributes: EncodedMessage, definition: Definition, data: unknown): Message | Promise<Message> {
  if (definition.read === undefined) return message(attributes, definition, data)
  const outcome = definition.read(data)
  if (outcome instanceof Promise) return outcome.then((settled) => accepted(attributes, definition, settled))
  return accepted(attributes, definition, outcome)
}

function accepted(attributes: EncodedMessage, definition: Definition, outcome: Outcome): Message {
  if ('issues' in outcome) {
    const issues = withoutPersonal(outcome.issues, definition.personal)
    throw new ValidationError(attributes.type, attributes.version, issues)
  }
  return message(attributes, definition, outcome.data)
}

function message(attributes: EncodedMessage, definition: Definition, data: unknown): Message {
  const made = envelope(attributes, data, definition)
  return definition.hydrate === undefined ? made : definition.hydrate(made)
}

function envelope(encoded: EncodedMessage, data: unknown, definition: Definition | undefined): Message {
  const made: { -readonly [K in keyof Message]: Message[K] } = new Envelope(encoded, data, definition)
  if (encoded.body instanceof Snapshot) {
    // In process the same attributes are handed to every handler, and a Date or headers can be changed as data can.
    made.time = new Date(encoded.time)
    made.metadata = { ...encoded.metadata }
  }
  return made
}
