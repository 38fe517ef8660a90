import type { SqlValue } from '../sql/executor.ts'

/**
 * Bodies of text and of bytes share one column of type text, so that a person sees the text as it is. Bytes are base64
 * behind this character (U+0001); text that begins with it, which JSON never does, has it twice.
 */
const MARK = '\u0001'

/** A parameter as the client sends it; a Buffer is sent in binary form. */
export type Parameter = string | Buffer | null

export function parameter(value: SqlValue): Parameter {
  if (value === null) return null
  if (typeof value === 'string') return escaped(value)
  if (typeof value !== 'object') return String(value)
  return value instanceof BinaryArray ? bufferOf(value) : MARK + bufferOf(value).toString('base64')
}

/** An array of Postgres in its binary form, and not bytes that somebody wants to store. */
class BinaryArray extends Uint8Array {}

/** The value of a column of type text. */
export function ofText(text: string): string | Uint8Array {
  if (text.charCodeAt(0) !== 1) return text
  return text.charCodeAt(1) === 1 ? text.slice(1) : Buffer.from(text.slice(1), 'base64')
}

function escaped(text: string): string {
  return text.charCodeAt(0) === 1 ? MARK + text : text
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Whole numbers of 8 bytes come as text; none of ours is beyond what a number holds exactly. */
const NUMBERS = new Set([20, 21, 23, 26, 700, 701, 1700])
const TEXTS = new Set([25, 1042, 1043])

/** For the client: how columns become values, by the number of their type. */
export const types = {
  getTypeParser(type: number): (text: string) => unknown {
    if (NUMBERS.has(type)) return Number
    return TEXTS.has(type) ? ofText : same
  },
}

function same(text: string): string {
  return text
}

/** An array of numbers for `$n::int4[]` and the like. */
export function numbers(values: readonly SqlValue[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : String(value as number))).join(',')}}`
}

const TEXT_TYPE = 25

/**
 * An array of texts in the binary form of Postgres: nothing to escape on the way there or to parse on the other side.
 * Dimensions, whether there are nulls, type of the elements, count, first index; then length and bytes of each.
 */
export function texts(values: readonly SqlValue[]): Uint8Array {
  const all = values.map(parameter) as (string | null)[]
  const buffer = Buffer.allocUnsafe(roomFor(all))
  buffer.writeInt32BE(1, 0)
  buffer.writeInt32BE(1, 4)
  buffer.writeInt32BE(TEXT_TYPE, 8)
  buffer.writeInt32BE(all.length, 12)
  buffer.writeInt32BE(1, 16)
  let at = 20
  // What a column says again and again, such as the type, is encoded once.
  let before: string | undefined
  let [from, to] = [at, at]
  for (const text of all) {
    if (text === null) at = buffer.writeInt32BE(-1, at)
    else if (text === before) {
      buffer.copyWithin(at, from, to)
      at += to - from
    } else {
      from = at
      at = to = at + 4 + buffer.write(text, at + 4, 'utf8')
      buffer.writeInt32BE(to - from - 4, from)
      before = text
    }
  }
  return new BinaryArray(buffer.buffer, buffer.byteOffset, at)
}

/** Bytes of memory that is worth less than counting what is really needed. */
const SPARE = 1024 * 1024

/** At least what the array takes: no text takes more than three bytes for a UTF-16 unit. */
function roomFor(all: readonly (string | null)[]): number {
  let room = 20 + 4 * all.length
  for (const text of all) if (text !== null) room += 3 * text.length
  if (room <= SPARE) return room
  return all.reduce((sum, text) => sum + (text === null ? 0 : Buffer.byteLength(text)), 20 + 4 * all.length)
}
