import { randomFillSync } from 'node:crypto'

let lastMs = 0
let counter = 0
let prefix = ''

/**
 * A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, a 12-bit counter (§6.2 method 1) so that ids made by
 * one process sort in the order in which they were made, and 62 random bits.
 *
 * An id is made for every message, so it is made of pooled random bytes: 0.15 µs, where the `uuid` package takes
 * 3 µs on the same machine (decision record 0003).
 *
 * @param now Unix time in milliseconds; default: the clock. A clock that steps back does not make ids step back.
 */
export function uuidv7(now: number = Date.now()): string {
  if (now > lastMs) startMillisecond(now)
  else if (++counter > 0xfff) startMillisecond(lastMs + 1)
  return prefix + (0x7000 + counter).toString(16) + randomTail()
}

function startMillisecond(ms: number): void {
  lastMs = ms
  counter = 0
  const hex = ms.toString(16).padStart(12, '0')
  prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-`
}

const pool = Buffer.allocUnsafe(128 * 8)
let digits = ''
let used = 0

/** '-yxxx-xxxxxxxxxxxx' with the variant in y. No random digit is used twice. */
function randomTail(): string {
  if (used === digits.length) {
    digits = randomFillSync(pool).toString('hex')
    used = 0
  }
  const at = used
  used += 16
  // Pieces this short are copied by the engine, so that no id keeps the whole pool in memory.
  return `-${'89ab'[digits.charCodeAt(at) & 3]}${digits.slice(at + 1, at + 4)}-${digits.slice(at + 4, at + 16)}`
}
