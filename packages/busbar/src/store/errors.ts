import { BusbarError } from '../message/errors.ts'
import type { Expected } from './storage.ts'

export { TransactionError } from '../transaction/errors.ts'

/** A stream is not as an append expected it: somebody else was faster, or the decision was made on old state. */
export class ConcurrencyError extends BusbarError {
  override readonly name: string = 'ConcurrencyError'
  readonly stream: string
  readonly expected: Expected
  /** Revision of its last event; -1: it has none. */
  readonly actual: number

  constructor(stream: string, expected: Expected, actual: number) {
    super(
      `stream '${stream}' was expected ${inWords(expected)} and ${actual === -1 ? 'has no event' : `is at revision ${actual}`}: ` +
        'load it again, decide again and append with its new revision',
    )
    this.stream = stream
    this.expected = expected
    this.actual = actual
  }
}

/** The stream was deleted. Its name is not used again. */
export class StreamDeletedError extends BusbarError {
  override readonly name: string = 'StreamDeletedError'
  readonly stream: string

  constructor(stream: string) {
    super(`stream '${stream}' was deleted and takes no more events: begin a stream with another name`)
    this.stream = stream
  }
}

/** An event's id is that of another event. */
export class DuplicateEventError extends BusbarError {
  override readonly name: string = 'DuplicateEventError'
  readonly stream: string
  readonly id: string

  constructor(stream: string, id: string) {
    super(
      `event ${id} for stream '${stream}' is in the store already, in another stream or at another place: an id names one event`,
    )
    this.stream = stream
    this.id = id
  }
}

function inWords(expected: Expected): string {
  if (typeof expected === 'number') return `at revision ${expected}`
  return { none: 'not to exist', exists: 'to exist', any: 'not to be deleted' }[expected]
}
