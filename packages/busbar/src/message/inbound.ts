import type { Codec } from './codec.ts'
import { BYTES, codecFor } from './content-type.ts'
import type { Definition } from './definition.ts'
import { Envelope } from './envelope.ts'
import { ValidationError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage, Message } from './message.ts'
import { isPersonal, type Privacy, withoutPersonal, withPlaceholders } from './personal.ts'
import type { Outcome } from './schema.ts'

/**
 * Makes a message of what a broker delivered: decoded, brought to the contract's version, validated (the schema's
 * output is the data, with Dates where it wants them) and, for event classes, made an instance. Every call gives data
 * of its own, so that no handler sees what another one changed. Synchronous wherever the schema is.
 *
 * Without a contract the data is passed through as decoded. With `privacy` what was encrypted is readable again, or erased.
 *
 * @throws DecodeError when the body cannot be read, ValidationError when the data does not fit the contract.
 */
export function open(
  encoded: EncodedMessage,
  definition: Definition | undefined,
  codec: Codec,
  privacy?: Privacy,
): Message | Promise<Message> {
  const data = read(encoded, codec)
  if (privacy === undefined || encoded.contentType === BYTES) return fitted(encoded, definition, data, false)
  const revealed = privacy.reveal(data)
  if (!(revealed instanceof Promise)) return fitted(encoded, definition, revealed.data, revealed.erased)
  return revealed.then(({ data: readable, erased }) => fitted(encoded, definition, readable, erased))
}

/** Brought to the contract's version and validated. */
function fitted(
  encoded: EncodedMessage,
  definition: Definition | undefined,
  data: unknown,
  erased: boolean,
): Message | Promise<Message> {
  const { version } = encoded
  if (definition === undefined) return envelope(encoded, data, undefined)
  const current = version === definition.version
  const attributes = current ? encoded : { ...encoded, version: definition.version }
  const upcast = current ? data : definition.upcast(data, version)
  if (!erased) return validated(attributes, definition, upcast)
  return withErased(attributes, definition, withPlaceholders(upcast, definition.placeholders))
}

/** What was forgotten need not fit the schema: history is to be read all the same. Then the data is given as it was kept. */
function withErased(attributes: EncodedMessage, definition: Definition, data: unknown): Message | Promise<Message> {
  if (definition.read === undefined) return message(attributes, definition, data)
  const accept = (outcome: Outcome): Message => {
    const isForgiven = 'issues' in outcome && outcome.issues.every(({ path }) => isPersonal(path, definition.personal))
    return isForgiven ? message(attributes, definition, data) : accepted(attributes, definition, outcome)
  }
  const outcome = definition.read(data)
  return outcome instanceof Promise ? outcome.then(accept) : accept(outcome)
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
