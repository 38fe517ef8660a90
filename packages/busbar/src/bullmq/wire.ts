import { fromCloudEvent, toCloudEvent } from '../message/cloudevents.ts'
import { fromStructuredMode } from '../message/cloudevents-modes.ts'
import { ConfigurationError, DecodeError } from '../message/errors.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'

/**
 * A message as the data of a job. The job's name is the message's type; the data is
 * `{ "attributes": { … of the CloudEvents event }, "body": "text" }`, or `"bytes": "base64"` for a body of bytes. A body is kept
 * as a text, so that it comes out to the byte as it went in. `"keyless": true`: it has a subject and no key.
 *
 * Read as well: a CloudEvents event in JSON (structured mode) as the whole data of a job, whoever added it.
 */
interface JobData {
  readonly attributes: Readonly<Record<string, string>>
  readonly body?: string
  readonly bytes?: string
  readonly keyless?: true
}

export function toJobData(message: EncodedMessage): string {
  const { body } = message
  if (body instanceof Snapshot) {
    throw new ConfigurationError(`${message.type} ${message.id} holds a copy for this process, not text or bytes`)
  }
  const { attributes } = toCloudEvent(message)
  const data: JobData = {
    attributes,
    ...(message.subject !== undefined && message.key === undefined ? { keyless: true } : {}),
    ...(typeof body === 'string' ? { body } : { bytes: Buffer.from(body).toString('base64') }),
  }
  return JSON.stringify(data)
}

/** The message, and what is wrong with it where it is none: then it holds the raw bytes. */
export interface Received {
  readonly message: EncodedMessage
  readonly error?: DecodeError
}

/** `place` names what cannot be read. */
export function fromJobData(name: string, data: string, place: string): Received {
  try {
    const read = JSON.parse(data) as Partial<JobData> & { readonly specversion?: unknown }
    if (typeof read === 'object' && read !== null) {
      if (isAttributes(read.attributes)) return { message: fromOwn(read.attributes, read) }
      if (read.specversion !== undefined) return { message: fromStructuredMode(data) }
    }
    throw new DecodeError(`the data of job ${place} is neither a message of Busbar nor a CloudEvents event in JSON`)
  } catch (error) {
    const wrong = error instanceof SyntaxError ? new DecodeError(`the data of job ${place} is no JSON`) : error
    if (!(wrong instanceof DecodeError)) throw wrong
    return { message: unreadable(name, data, place), error: wrong }
  }
}

function fromOwn(
  attributes: Readonly<Record<string, string>>,
  { body, bytes, keyless }: Partial<JobData>,
): EncodedMessage {
  const content = typeof bytes === 'string' ? Uint8Array.from(Buffer.from(bytes, 'base64')) : String(body ?? '')
  const message = fromCloudEvent({ attributes, body: content })
  return keyless === true ? { ...message, key: undefined } : message
}

function isAttributes(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string')
}

function unreadable(name: string, data: string, place: string): EncodedMessage {
  return {
    id: place,
    type: name === '' ? 'unreadable' : name,
    kind: 'event',
    source: 'bullmq',
    time: new Date(),
    version: 1,
    contentType: 'application/octet-stream',
    metadata: { correlationId: place },
    body: Uint8Array.from(Buffer.from(data)),
  }
}
