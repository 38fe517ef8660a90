import type { Codec } from './codec.ts'
import { BYTES } from './content-type.ts'
import type { Definition } from './definition.ts'
import { Envelope } from './envelope.ts'
import { EncodeError, MessageTooLargeError, ValidationError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { Attributes, Body, EncodedMessage, Message } from './message.ts'
import { type Privacy, withoutPersonal } from './personal.ts'
import type { Outcome } from './schema.ts'

export interface PrepareOptions {
  readonly codec: Codec
  /** Hand over a copy instead of text or bytes. */
  readonly inProcess: boolean
  /** Largest body in bytes that the broker takes. */
  readonly maxBytes: number
  /** Encrypts personal fields. Default: they are sent as they are. */
  readonly privacy?: Privacy | undefined
}

/** What a message is given because of where it is published. */
export type Given = Pick<Attributes, 'source' | 'priority' | 'metadata'>

/**
 * Makes a message ready for a broker: validated by its contract, then encoded. What is sent is the data as given,
 * not the schema's output, so that transforms run once, at consume. Synchronous wherever the schema is.
 *
 * @param given In place of the message's own, which would else have to be copied for it.
 * @throws ValidationError, EncodeError, MessageTooLargeError. Nothing has been sent then.
 */
export function prepare(
  message: Message,
  definition: Definition | undefined,
  options: PrepareOptions,
  given: Given = message,
): EncodedMessage | Promise<EncodedMessage> {
  if (definition?.validate !== undefined) {
    const data =
      message.version === definition.version ? message.data : definition.upcast(message.data, message.version)
    const outcome = definition.validate(data)
    if (outcome instanceof Promise) {
      return outcome.then((settled) => {
        refuseIssues(message, definition, settled)
        return protect(message, definition, given, options)
      })
    }
    refuseIssues(message, definition, outcome)
  }
  return protect(message, definition, given, options)
}

/** With its personal fields encrypted, where there are any and something does that. */
function protect(
  message: Message,
  definition: Definition | undefined,
  given: Given,
  options: PrepareOptions,
): EncodedMessage | Promise<EncodedMessage> {
  const { privacy } = options
  if (privacy === undefined || definition === undefined || definition.personal.length === 0) {
    return encode(message, given, options)
  }
  // Its fields are declared for its present version.
  const current = message.version === definition.version
  const data = current ? message.data : definition.upcast(message.data, message.version)
  const person = definition.personOf?.(data) ?? message.subject
  if (person === undefined || person === '') {
    throw new EncodeError(
      `${message.type} has personal data and says of nobody: give its contract 'person', as in ` +
        `{ person: (data) => data.customerId }, or the message a subject`,
      '',
    )
  }
  const sent = (protectedData: unknown): EncodedMessage => {
    const attributes = current ? message : { ...message, version: definition.version }
    return encode(new Envelope(attributes, protectedData, undefined), given, options)
  }
  const protectedData = privacy.protect(data, definition.personal, person)
  return protectedData instanceof Promise ? protectedData.then(sent) : sent(protectedData)
}

function refuseIssues({ type, version }: Message, { personal }: Definition, outcome: Outcome): void {
  if ('issues' in outcome) throw new ValidationError(type, version, withoutPersonal(outcome.issues, personal))
}

function encode(message: Message, given: Given, options: PrepareOptions): EncodedMessage {
  try {
    if (message.data instanceof Uint8Array) return encoded(message, given, BYTES, bytes(message, message.data, options))
    return encoded(message, given, options.codec.contentType, written(message, options))
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error
    throw new EncodeError(`${message.type} cannot be sent: ${error.message}`, error.path)
  }
}

function bytes(message: Message, data: Uint8Array, { inProcess, maxBytes }: PrepareOptions): Body {
  refuseSize(message, data.byteLength, maxBytes)
  const copy = Uint8Array.from(data)
  return inProcess ? new Snapshot(copy) : copy
}

function written(message: Message, { codec, inProcess, maxBytes }: PrepareOptions): Body {
  if (inProcess) return new Snapshot(codec.snapshot(message.data, maxBytes))
  const body = codec.encode(message.data)
  // No text has more than three bytes a character, so a short one need not be measured.
  if (typeof body !== 'string') refuseSize(message, body.byteLength, maxBytes)
  else if (body.length * 3 > maxBytes) refuseSize(message, Buffer.byteLength(body), maxBytes)
  return body
}

function refuseSize(message: Message, size: number, limit: number): void {
  if (size <= limit) return
  throw new MessageTooLargeError(
    `${message.type} ${message.id} has ${size} bytes, and the broker takes at most ${limit}: ` +
      'send a reference to the data instead, or raise the limit',
  )
}

function encoded(message: Message, given: Given, contentType: string, body: Body): EncodedMessage {
  const { time } = message
  const { metadata } = given
  const isolated = body instanceof Snapshot
  return {
    id: message.id,
    type: message.type,
    kind: message.kind,
    source: given.source,
    subject: message.subject,
    key: message.key,
    time: isolated ? new Date(time) : time,
    version: message.version,
    revision: message.revision,
    priority: given.priority,
    metadata: isolated ? { ...metadata } : metadata,
    contentType,
    body,
  }
}
