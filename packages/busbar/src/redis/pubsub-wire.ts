import { fromStructuredMode } from '../message/cloudevents-modes.ts'
import { DecodeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import { BYTES, fromAttributes, fromFields, type Received, TEXT, toParts } from './wire.ts'

/**
 * A message on a channel: one line of JSON with the attributes of the CloudEvents event, then the body as it is. `databytes`
 * in the first line says that the body is bytes. What others publish in the structured mode of CloudEvents (one JSON object with
 * `data` in it) is read as well.
 */
const LINE_END = 0x0a

export function toPayload(message: EncodedMessage): string | Buffer {
  const { attributes, body } = toParts(message)
  if (typeof body === 'string') return `${JSON.stringify(attributes)}\n${body}`
  return Buffer.concat([Buffer.from(`${JSON.stringify({ ...attributes, [BYTES]: '' })}\n`), body])
}

export function fromPayload(payload: Buffer, place: string): Received {
  // Mostly all of it is text.
  const text = payload.toString('utf8')
  const end = text.indexOf('\n')
  const attributes = end < 0 ? undefined : attributesOf(text.slice(0, end))
  if (attributes === undefined) return fromStructured(payload, place)
  if (attributes[BYTES] === undefined) return fromAttributes(attributes, text.slice(end + 1), place)
  delete attributes[BYTES]
  return fromAttributes(attributes, Uint8Array.from(payload.subarray(payload.indexOf(LINE_END) + 1)), place)
}

function attributesOf(line: string): Record<string, string> | undefined {
  try {
    const head: unknown = JSON.parse(line)
    if (typeof head !== 'object' || head === null || TEXT in head) return undefined
    const attributes = head as Record<string, string>
    for (const name of Object.keys(attributes)) {
      if (typeof attributes[name] !== 'string') attributes[name] = String(attributes[name])
    }
    return attributes
  } catch {
    return undefined
  }
}

function fromStructured(payload: Buffer, place: string): Received {
  try {
    return { message: fromStructuredMode(payload) }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { ...fromFields([Buffer.from(BYTES), payload], place), error }
  }
}
