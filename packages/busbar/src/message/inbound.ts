import type { Codec } from './codec.ts'
import type { Definition } from './definition.ts'
import { Envelope } from './envelope.ts'
import { ValidationError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage, Message } from './message.ts'
import type { Outcome } from './schema.ts'

/**
 * Makes a message of what a broker delivered: decoded, brought to the contract's version, validated (the schema's
 * output is the data) and, for event classes, made an instance. Each call gives a copy of its own.
 * Synchronous wherever the schema is.
 *
 * @throws DecodeError when the body cannot be read, ValidationError when the data does not fit the contract.
 */
export function open(
  encoded: EncodedMessage,
  definition: Definition | undefined,
  codec: Codec,
): Message | Promise<Message> {
  const data = read(encoded, codec)
  if (definition === undefined) return new Envelope(encoded, data, undefined)
  const current = encoded.version === definition.version ? data : definition.upcast(data, encoded.version)
  if (definition.read === undefined) return finish(encoded, definition, { data: current })
  const outcome = definition.read(current)
  if (outcome instanceof Promise) return outcome.then((settled) => finish(encoded, definition, settled))
  return finish(encoded, definition, outcome)
}

function read({ body, contentType }: EncodedMessage, codec: Codec): unknown {
  const value = body instanceof Snapshot ? body.value : body
  if (contentType === 'application/octet-stream' && value instanceof Uint8Array) return Uint8Array.from(value)
  return body instanceof Snapshot ? codec.snapshot(body.value) : codec.decode(body)
}

function finish(encoded: EncodedMessage, definition: Definition, outcome: Outcome): Message {
  if ('issues' in outcome) throw new ValidationError(encoded.type, encoded.version, outcome.issues)
  const message = new Envelope({ ...encoded, version: definition.version }, outcome.data, definition)
  return definition.hydrate === undefined ? message : definition.hydrate(message)
}
