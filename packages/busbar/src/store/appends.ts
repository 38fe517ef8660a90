import { byteLength } from '../message/body.ts'
import { BusbarError, MessageTooLargeError } from '../message/errors.ts'
import { ConcurrencyError, StreamDeletedError } from './errors.ts'
import type { Append, Expected, StreamInfo } from './storage.ts'

/** Characters of the longest name of a stream. */
const LONGEST_NAME = 512

/** What was asked makes no sense, whatever the store holds: nothing was written. */
export class AppendError extends BusbarError {
  override readonly name: string = 'AppendError'
}

/**
 * Refuses what no storage may be asked for.
 *
 * @throws AppendError for an append of nothing, a stream named twice or wrongly, an `expected` that is none, an id that comes twice;
 *   MessageTooLargeError for a body over the limit.
 */
export function checkAppends(appends: readonly Append[], maxEventBytes: number, storage: string): void {
  if (appends.length === 0) throw new AppendError('an append names no stream: give at least one with its events')
  const streams = new Set<string>()
  const ids = new Set<string>()
  for (const { stream, events, expected } of appends) {
    checkName(stream)
    if (streams.has(stream))
      throw new AppendError(`stream '${stream}' is named twice in one append: put its events together`)
    streams.add(stream)
    checkExpected(stream, expected)
    if (events.length === 0) throw new AppendError(`the append to stream '${stream}' has no events: give at least one`)
    for (const { message } of events) {
      if (ids.has(message.id)) throw new AppendError(`event ${message.id} is given twice in one append`)
      ids.add(message.id)
      const size = byteLength(message.body)
      if (size <= maxEventBytes) continue
      throw new MessageTooLargeError(
        `event ${message.id} (${message.type}) has ${size} bytes and ${storage} takes ${maxEventBytes}; nothing was written. ` +
          'Keep a reference to the data instead',
      )
    }
  }
}

/** @throws AppendError */
export function checkName(stream: string): void {
  // oxlint-disable-next-line no-control-regex -- a name with them could not be told from another on a terminal
  if (typeof stream === 'string' && stream !== '' && stream.length <= LONGEST_NAME && !/[\u0000-\u001f]/.test(stream))
    return
  throw new AppendError(
    `a stream's name must be a text of 1 to ${LONGEST_NAME} characters without control characters, for example 'order-42'`,
  )
}

function checkExpected(stream: string, expected: Expected): void {
  if (expected === 'any' || expected === 'none' || expected === 'exists') return
  if (Number.isSafeInteger(expected) && expected >= 0) return
  const given = typeof expected === 'number' || typeof expected === 'string' ? `'${String(expected)}'` : 'that'
  throw new AppendError(
    `'expected' of stream '${stream}' must be a revision (a whole number from 0), 'none', 'exists' or 'any', not ${given}`,
  )
}

/** Whether a stream is as an append expects it. @throws StreamDeletedError, ConcurrencyError */
export function meet(expected: Expected, { stream, revision, deletedAt }: StreamInfo): void {
  if (deletedAt !== undefined) throw new StreamDeletedError(stream)
  if (expected === 'any' || expected === revision) return
  if (expected === 'none' ? revision === -1 : expected === 'exists' && revision >= 0) return
  throw new ConcurrencyError(stream, expected, revision)
}

/** What is before the first `-` of a stream's name: `order` of `order-42`. */
export function categoryOf(stream: string): string {
  const mark = stream.indexOf('-')
  return mark === -1 ? stream : stream.slice(0, mark)
}
