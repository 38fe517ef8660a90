import assert from 'node:assert/strict'
import type { Append, Appended, EventStorage, Expected, NewEvent, StoredEvent } from '../../store/index.ts'
import type { EncodedMessage } from '../../message/message.ts'
import { message, numbered } from '../suite/messages.ts'

/** An event with everything that is required, and what is given. */
export function event(given: Partial<EncodedMessage> = {}): NewEvent {
  return { topic: 'events', message: message(given) }
}

/** `count` events whose body is their number. */
export function events(count: number, first = 0): NewEvent[] {
  return numbered('events', count, 0, first)
}

/** Appends to one stream. */
export async function append(
  storage: EventStorage,
  stream: string,
  what: number | readonly NewEvent[] = 1,
  expected: Expected = 'any',
): Promise<Appended> {
  const [appended] = await storage.append([to(stream, what, expected)])
  assert.ok(appended !== undefined, 'the append was not answered')
  return appended
}

export function to(stream: string, what: number | readonly NewEvent[] = 1, expected: Expected = 'any'): Append {
  return { stream, expected, events: typeof what === 'number' ? events(what) : what }
}

/** Everything that a reading gives. */
export async function all(reading: AsyncIterable<StoredEvent>): Promise<StoredEvent[]> {
  const read: StoredEvent[] = []
  for await (const one of reading) read.push(one)
  return read
}

export function idsOf(given: readonly { readonly message: EncodedMessage }[]): string[] {
  return given.map((one) => one.message.id)
}

export function revisionsOf(given: readonly StoredEvent[]): number[] {
  return given.map(({ revision }) => revision)
}

/** 0, 1, 2 … */
export function upTo(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, n) => first + n)
}

/** Fails unless the positions only rise. */
export function assertOrdered(given: readonly { readonly position: string }[]): void {
  for (const [index, { position }] of given.entries()) {
    const before = given[index - 1]?.position
    if (before !== undefined) assert.ok(before < position, `position ${position} came after ${before}`)
  }
}

/** Fails unless the revisions of each stream are 0, 1, 2 …, in the order given. */
export function assertStreamsWhole(given: readonly { readonly stream: string; readonly revision: number }[]): void {
  const next = new Map<string, number>()
  for (const { stream, revision } of given) {
    const expected = next.get(stream) ?? 0
    assert.equal(
      revision,
      expected,
      `stream '${stream}': revision ${revision} came when it was the turn of ${expected}`,
    )
    next.set(stream, expected + 1)
  }
}

/** Everything of a store that a reader can see, to be compared: what a refused call may not change. */
export async function everything(storage: EventStorage, ...streams: readonly string[]): Promise<unknown> {
  const infos = await Promise.all(streams.map((stream) => storage.info(stream)))
  const stored = await all(storage.readAll())
  const { position, count } = await storage.head()
  return { infos, head: { position, count }, stored: stored.map(({ position: at, message: { id } }) => ({ at, id })) }
}
