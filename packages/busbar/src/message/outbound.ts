import type { Codec } from './codec.ts'
import type { Definition } from './definition.ts'
import { MessageTooLargeError, ValidationError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { Body, EncodedMessage, Message } from './message.ts'
import type { Outcome } from './schema.ts'

export interface PrepareOptions {
  readonly codec: Codec
  /** Hand over a copy instead of text or bytes. */
  readonly inProcess: boolean
  /** Largest body in bytes that the broker takes. */
  readonly maxBytes: number
}

/**
 * Makes a message ready for a broker: validated by its contract, then encoded. What is sent is the data as given,
 * not the schema's output, so that transforms run once, at consume. Synchronous wherever the schema is.
 *
 * @throws ValidationError, EncodeError, MessageTooLargeError. Nothing has been sent then.
 */
export function prepare(
  message: Message,
  definition: Definition | undefined,
  options: PrepareOptions,
): EncodedMessage | Promise<EncodedMessage> {
  if (definition?.validate !== undefined) {
    const data =
      message.version === definition.version ? message.data : definition.upcast(message.data, message.version)
    const outcome = definition.validate(data)
    if (outcome instanceof Promise) {
      return outcome.then((settled) => {
        refuseIssues(message, settled)
        return encode(message, options)
      })
    }
    refuseIssues(message, outcome)
  }
  return encode(message, options)
}

function refuseIssues(message: Message, outcome: Outcome): void {
  if ('issues' in outcome) throw new ValidationError(message.type, message.version, outcome.issues)
}

function encode(message: Message, { codec, inProcess, maxBytes }: PrepareOptions): EncodedMessage {
  const { data } = message
  if (data instanceof Uint8Array) {
    refuseSize(message, data.byteLength, maxBytes)
    const bytes = Uint8Array.from(data)
    return encoded(message, 'application/octet-stream', inProcess ? new Snapshot(bytes) : bytes)
  }
  if (inProcess) return encoded(message, codec.contentType, new Snapshot(codec.snapshot(data)))
  const body = codec.encode(data)
  refuseSize(message, typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength, maxBytes)
  return encoded(message, codec.contentType, body)
}

function refuseSize(message: Message, size: number, limit: number): void {
  if (size <= limit) return
  throw new MessageTooLargeError(
    `${message.type} ${message.id} has ${size} bytes, and the broker takes at most ${limit}: ` +
      'send a reference to the data instead, or raise the limit',
  )
}

function encoded(message: Message, contentType: string, body: Body): EncodedMessage {
  const { id, type, kind, source, subject, key, time, version, revision, priority, metadata } = message
  const made: { -readonly [K in keyof EncodedMessage]: EncodedMessage[K] } = {
    id,
    type,
    kind,
    source,
    time,
    version,
    metadata,
    contentType,
    body,
  }
  if (subject !== undefined) made.subject = subject
  if (key !== undefined) made.key = key
  if (revision !== undefined) made.revision = revision
  if (priority !== undefined) made.priority = priority
  return made
}
