import assert from 'node:assert/strict'
import type { Outgoing } from '../../broker/index.ts'
import type { EncodedMessage } from '../../message/message.ts'
import { uuidv7 } from '../../message/uuid.ts'

/** A message with everything that is required, and what is given. */
export function message(given: Partial<EncodedMessage> = {}): EncodedMessage {
  const id = given.id ?? uuidv7()
  return {
    id,
    type: 'ConformanceChecked',
    kind: 'event',
    source: 'conformance',
    time: new Date(),
    version: 1,
    metadata: { correlationId: id },
    contentType: 'application/json',
    body: '{}',
    ...given,
  }
}

/** `count` messages whose body is their number, 0 and up. With `keys` they take turns: message n has key `k<n % keys>`. */
export function numbered(topic: string, count: number, keys = 0, first = 0): Outgoing[] {
  return Array.from({ length: count }, (_, index) => {
    const n = first + index
    return { topic, message: message({ body: String(n), ...(keys > 0 ? { key: `k${n % keys}` } : {}) }) }
  })
}

/** The number in the body of a message made by `numbered`. */
export function numberOf(delivered: { readonly message: EncodedMessage }): number {
  return Number(delivered.message.body)
}

/** Numbers by key, each in the order given. */
export function byKey(delivered: Iterable<{ readonly message: EncodedMessage }>): Map<string, number[]> {
  const keys = new Map<string, number[]>()
  for (const one of delivered) {
    const key = one.message.key ?? ''
    const numbers = keys.get(key)
    if (numbers === undefined) keys.set(key, [numberOf(one)])
    else numbers.push(numberOf(one))
  }
  return keys
}

/** Fails unless the numbers of each key only rise. */
export function assertKeyOrder(delivered: Iterable<{ readonly message: EncodedMessage }>): void {
  for (const [key, numbers] of byKey(delivered)) {
    const wrong = numbers.findIndex((n, index) => index > 0 && n <= (numbers[index - 1] ?? -1))
    if (wrong > 0) assert.fail(`key ${key}: ${numbers[wrong]} came after ${numbers[wrong - 1]}`)
  }
}

/** Fails unless the ids are exactly the expected ones, each once, in any order. */
export function assertEachOnce(actual: readonly string[], expected: readonly string[]): void {
  const counts = new Map<string, number>()
  for (const id of actual) counts.set(id, (counts.get(id) ?? 0) + 1)
  const missing = expected.filter((id) => !counts.has(id))
  const repeated = [...counts].filter(([, count]) => count > 1)
  const known = new Set(expected)
  const strange = [...counts.keys()].filter((id) => !known.has(id))
  assert.equal(missing.length, 0, `${missing.length} of ${expected.length} messages never came, first ${missing[0]}`)
  assert.equal(repeated.length, 0, `${repeated.length} messages came more than once, first ${String(repeated[0])}`)
  assert.equal(strange.length, 0, `${strange.length} messages came that were not sent here, first ${strange[0]}`)
}

/** Fails unless attributes, metadata and body are the same, byte for byte. What is absent must stay absent. */
export function assertSame(actual: EncodedMessage, expected: EncodedMessage): void {
  assert.deepEqual(plain(actual), plain(expected))
}

/** Only what the envelope declares, so that an adapter's own fields or classes do not matter. */
function plain(m: EncodedMessage): Record<string, unknown> {
  const { id, type, kind, source, subject, key, time, version, revision, priority, contentType } = m
  const metadata = Object.fromEntries(Object.entries(m.metadata).filter(([, value]) => value !== undefined))
  // Buffer is a Uint8Array and as good as one.
  const body = m.body instanceof Uint8Array ? Uint8Array.from(m.body) : m.body
  const all = { id, type, kind, source, subject, key, version, revision, priority, contentType, metadata, body }
  return { ...all, time: time instanceof Date ? time.toISOString() : time }
}
