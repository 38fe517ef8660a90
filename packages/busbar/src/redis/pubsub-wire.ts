import { fromStructuredMode } from '../message/cloudevents-modes.ts'
import { DecodeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import { BYTES, fromFields, type Received, TEXT, toFields } from './wire.ts'

/**
 * A message on a channel: one line of JSON with the attributes of the CloudEvents event, then the body as it is. `databytes`
 * in the first line says that the body is bytes. What others publish in the structured mode of CloudEvents (one JSON object with
 * `data` in it) is read as well.
 */
const LINE_END = 0x0a

export function toPayload(message: EncodedMessage): Buffer {
  const fields = toFields(message)
  const attributes: Record<string, string> = {}
  for (let index = 0; index + 2 < fields.length; index += 2) {
    attributes[String(fields[index])] = String(fields[index + 1])
  }
  const body = fields.at(-1) ?? ''
  const isText = typeof body === 'string'
  const head = JSON.stringify(isText ? attributes : { ...attributes, [BYTES]: '' })
  return Buffer.concat([Buffer.from(`${head}\n`), isText ? Buffer.from(body) : body])
}

export function fromPayload(payload: Buffer, place: string): Received {
  const end = payload.indexOf(LINE_END)
  const head = end < 0 ? undefined : attributesOf(payload.subarray(0, end))
  if (head === undefined) return fromStructured(payload, place)
  const { [BYTES]: bytes, ...attributes } = head
  const fields = Object.entries(attributes).flatMap(([name, value]) => [Buffer.from(name), Buffer.from(value)])
  return fromFields([...fields, Buffer.from(bytes === undefined ? TEXT : BYTES), payload.subarray(end + 1)], place)
}

function attributesOf(line: Buffer): Record<string, string> | undefined {
  try {
    const head: unknown = JSON.parse(line.toString('utf8'))
    if (typeof head !== 'object' || head === null || TEXT in head) return undefined
    return Object.fromEntries(Object.entries(head).map(([name, value]) => [name, String(value)]))
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
