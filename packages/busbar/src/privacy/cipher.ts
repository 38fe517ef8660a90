import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { DecodeError } from '../message/errors.ts'

/** AES-256-GCM (NIST SP 800-38D): 32 bytes of key, a random nonce of 12, a tag of 16. */
export const KEY_BYTES = 32
const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param context Bound to the text: with another one it cannot be opened. */
export function seal(text: string, key: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(context))
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()])
}

/** @throws DecodeError where the bytes are no such thing, were changed, or belong to another key or context. */
export function unseal(bytes: Uint8Array, key: Uint8Array, context: string): string {
  try {
    const nonce = bytes.subarray(0, NONCE_BYTES)
    const sealed = bytes.subarray(NONCE_BYTES, -TAG_BYTES)
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8')
  } catch (error) {
    throw new DecodeError('encrypted data cannot be opened: it was changed, or written with another key', {
      cause: error,
    })
  }
}
