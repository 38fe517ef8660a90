import type { Append, StoredEvent } from '../store/index.ts'
import { categoryOf } from '../store/index.ts'
import { type Field, fromFields, toFields } from './wire.ts'

const TOPIC = '~topic'
/** What stands before the message's own fields: see `scripts/events.ts`. */
const [STREAM, REVISION, AT] = ['~stream', '~revision', '~at']
/** A position is a number to the server, and to readers a text that sorts. */
const DIGITS = 16

/** Arguments of the script `append`. */
export function toArguments(appends: readonly Append[]): Field[] {
  const args: Field[] = [String(appends.length)]
  for (const { stream, expected, events } of appends) {
    args.push(stream, categoryOf(stream), String(expected), String(events.length))
    for (const { topic, message } of events) {
      const fields = [TOPIC, topic, ...toFields(message)]
      args.push(message.id, message.type, message.metadata.correlationId, String(fields.length))
      for (const field of fields) args.push(field)
    }
  }
  return args
}

/** @throws DecodeError where it is no event. */
export function fromEntry(id: string, fields: readonly Buffer[], where: string): StoredEvent {
  const own = new Map<string, string>()
  // They stand in front.
  for (let n = 0; n < 8 && n + 1 < fields.length; n += 2) own.set(String(fields[n]), String(fields[n + 1]))
  const { message, error } = fromFields(fields, `${id} of ${where}`)
  if (error !== undefined) throw error
  return {
    stream: own.get(STREAM) ?? '',
    revision: Number(own.get(REVISION)),
    position: positionOf(id.replace(/-.*$/, '')),
    storedAt: Number(own.get(AT)),
    topic: own.get(TOPIC) ?? '',
    message,
  }
}

export function positionOf(number: string): string {
  return number.padStart(DIGITS, '0')
}

/** The number of a position; undefined where it is none of this store. */
export function numberOf(position: string): string | undefined {
  if (position === '') return '0'
  return /^\d{16}$/.test(position) ? String(Number(position)) : undefined
}

/** What an entry takes, roughly. */
export function sizeOf(fields: readonly Buffer[]): number {
  let size = 0
  for (const field of fields) size += field.length
  return size
}
