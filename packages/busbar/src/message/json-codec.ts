import type { Codec, CodecLimits } from './codec.ts'
import { DEFAULT_MAX_BYTES, DEFAULT_MAX_DEPTH, tooLarge } from './codec.ts'
import { DecodeError } from './errors.ts'
import { copyJson } from './json-copy.ts'
import { JsonWalk } from './json-walk.ts'
import { openings, withoutPrototypes } from './json-safety.ts'

/**
 * JSON that never loses anything silently. What plain JSON cannot carry is refused with its path: BigInt, Map, Set,
 * NaN and Infinity, functions, symbols, class instances (`toJSON` is not asked), cycles, holes and `undefined` in
 * arrays, `undefined` as the whole data, and fields called `__proto__`.
 *
 * What changes, and is meant to:
 * - a `Date` becomes its ISO string (and a Date again where the contract's schema wants one),
 * - a field that is `undefined` is left out, `-0` becomes `0`, an object without prototype gets the usual one,
 * - symbol-keyed and non-enumerable fields, and named fields of an array, are not data.
 *
 * Lone surrogates in strings are carried (as escapes).
 */
export class JsonCodec implements Codec {
  readonly contentType = 'application/json'
  readonly #maxBytes: number
  readonly #maxDepth: number
  readonly #walk: JsonWalk

  constructor({ maxBytes = DEFAULT_MAX_BYTES, maxDepth = DEFAULT_MAX_DEPTH }: CodecLimits = {}) {
    this.#maxBytes = maxBytes
    this.#maxDepth = maxDepth
    this.#walk = new JsonWalk(maxBytes, maxDepth)
  }

  encode(data: unknown): string {
    const floor = this.#walk.check(data)
    const text = JSON.stringify(data)
    if (floor * GROWTH > this.#maxBytes) refuseSize(text, this.#maxBytes)
    return text
  }

  decode(body: string | Uint8Array): unknown {
    const text = typeof body === 'string' ? this.#limited(body) : this.#text(body)
    const data = withoutPrototypes(text, parse(text))
    if (openings(text, this.#maxDepth) > this.#maxDepth) this.#refuseDepth(data, 0)
    return data
  }

  snapshot(data: unknown, maxBytes = this.#maxBytes): unknown {
    const copy = this.#walk.copy(data)
    const limit = Math.min(maxBytes, this.#maxBytes)
    if (this.#walk.floor * GROWTH > limit) refuseSize(JSON.stringify(copy), limit)
    return copy
  }

  copy(snapshot: unknown): unknown {
    return copyJson(snapshot)
  }

  #limited(text: string): string {
    if (text.length * 3 <= this.#maxBytes || Buffer.byteLength(text) <= this.#maxBytes) return text
    throw new DecodeError(
      `the body has more than ${this.#maxBytes} bytes, the codec's limit: raise maxBytes to read it`,
    )
  }

  #text(bytes: Uint8Array): string {
    if (bytes.byteLength > this.#maxBytes) {
      throw new DecodeError(
        `the body has ${bytes.byteLength} bytes, more than the codec's limit of ${this.#maxBytes}: raise maxBytes to read it`,
      )
    }
    try {
      return utf8.decode(bytes)
    } catch (error) {
      throw new DecodeError('the body is not UTF-8 text', { cause: error })
    }
  }

  #refuseDepth(value: unknown, depth: number): void {
    if (typeof value !== 'object' || value === null) return
    if (depth === this.#maxDepth) {
      throw new DecodeError(
        `the body is nested more than ${this.#maxDepth} deep, the codec's limit: raise maxDepth to read it`,
      )
    }
    for (const child of Object.values(value)) this.#refuseDepth(child, depth + 1)
  }
}

/** No JSON text is longer, in bytes, than this many times the walk's floor: the worst case is a number of 24 digits, counted as one. */
const GROWTH = 25

function refuseSize(text: string, limit: number): void {
  const size = Buffer.byteLength(text)
  if (size > limit) throw tooLarge(size, limit)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The parser's own error is not passed on: its text quotes the body. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    const where = position === undefined ? '' : ` (character ${position})`
    throw new DecodeError(text === '' ? 'the body is empty, which is not JSON' : `the body is not JSON${where}`)
  }
}
