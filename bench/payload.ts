/** What the messages of the bench carry. */
export type Payload = {
  readonly id: string
  readonly n: number
  readonly text: string
}

/** Streams that the messages belong to; order is kept within each. */
const STREAMS = 90

/**
 * Makes payloads that are exactly `bytes` long as JSON. Only `id` and `n` differ, and both always have the same length.
 *
 * @param bytes At least 40.
 */
export function payloads(bytes: number): (n: number) => Payload {
  const empty = JSON.stringify(payload(0, '')).length
  if (bytes < empty) throw new RangeError(`a payload has at least ${empty} bytes, not ${bytes}`)
  const text = 'x'.repeat(bytes - empty)
  return (n) => payload(n, text)
}

function payload(n: number, text: string): Payload {
  return { id: `o-${10 + (n % STREAMS)}`, n: 1_000_000 + (n % 9_000_000), text }
}
