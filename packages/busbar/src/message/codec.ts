import { MessageTooLargeError } from './errors.ts'

/** What turns data into a body and back. It never loses anything silently: it carries a value exactly, or refuses it. */
export interface Codec {
  /** Media type of what it writes. */
  readonly contentType: string
  /** @throws EncodeError with the path of what cannot be carried; MessageTooLargeError over its limit. */
  encode(data: unknown): string | Uint8Array
  /** @throws DecodeError, whose text never holds any of the body. */
  decode(body: string | Uint8Array): unknown
  /**
   * Exactly what `decode(encode(data))` would give, sharing nothing with `data`. Throws what these would throw.
   * @param maxBytes A limit for the body that it stands for, where that is lower than the codec's own.
   */
  snapshot(data: unknown, maxBytes?: number): unknown
  /** Another copy of what `snapshot` gave, which need not be checked again. Default: another `snapshot` of it. */
  copy?(snapshot: unknown): unknown
}

export interface CodecLimits {
  /** Largest body in bytes, written or read. Default 8 MiB. */
  readonly maxBytes?: number
  /** Deepest nesting of objects and arrays. Default 64. */
  readonly maxDepth?: number
}

export const DEFAULT_MAX_BYTES = 8 * 1024 * 1024
export const DEFAULT_MAX_DEPTH = 64

/** Raised on writing; on reading the same limit gives a DecodeError. */
export function tooLarge(size: number | undefined, limit: number): MessageTooLargeError {
  const bytes = size === undefined ? `more than ${limit} bytes` : `${size} bytes`
  return new MessageTooLargeError(
    `the data has ${bytes} as a body, and the limit is ${limit}: ` +
      'send a reference to the data instead, or raise maxBytes of the codec or the broker',
  )
}
