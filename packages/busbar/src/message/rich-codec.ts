import type { Codec, CodecLimits } from './codec.ts'
import { JsonCodec } from './json-codec.ts'
import { untagged } from './rich-read.ts'
import { tagged } from './rich-write.ts'

/**
 * JSON that also carries `BigInt`, `Map`, `Set`, `Date`, `NaN`, `Infinity`, `-0`, `undefined` and `Uint8Array`
 * (a `Buffer` arrives as `Uint8Array`), each as an object with one field: `{"$bigint":"12"}`, `{"$date":"2026-…"}`.
 * Data of yours that looks like this is carried too: its field gets one more `$`.
 * Still refused: functions, symbols, class instances, cycles, holes in arrays and fields called `__proto__`.
 *
 * Every application that reads the messages needs it: readers with the plain codec dead-letter them.
 */
export class RichJsonCodec implements Codec {
  readonly contentType = 'application/json; profile=busbar-rich'
  readonly #json: JsonCodec

  /** Limits are those of the text as written: a tag adds one level, a Map two. */
  constructor(limits: CodecLimits = {}) {
    this.#json = new JsonCodec(limits)
  }

  encode(data: unknown): string {
    return this.#json.encode(tagged(data))
  }

  decode(body: string | Uint8Array): unknown {
    return untagged(this.#json.decode(body))
  }

  snapshot(data: unknown, maxBytes?: number): unknown {
    return untagged(this.#json.snapshot(tagged(data), maxBytes))
  }
}
