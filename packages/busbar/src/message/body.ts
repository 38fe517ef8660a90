import { type Body, Snapshot } from './message.ts'

/** Bytes of an encoded body. A snapshot never leaves its process and has none; its codec has checked it. */
export function byteLength(body: Body): number {
  if (typeof body === 'string') return Buffer.byteLength(body)
  return body instanceof Snapshot ? 0 : body.byteLength
}
