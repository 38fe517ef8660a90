import type { EncodedMessage } from '../message/message.ts'

/** Why a message was put aside. */
export type FailureReason =
  /** The handler threw until its attempts were used up, or threw something not retryable. */
  | 'failed'
  /** Its data does not fit its contract, or its version has no upcaster. */
  | 'invalid'
  /** Its bytes cannot be decoded. */
  | 'undecodable'
  /** It began several times and its process died each time; it was not run again. */
  | 'crashed'
  /** It waits behind a failed message with the same key (`onFailure: 'park'`). */
  | 'parked'

/** What went wrong, as the engine tells it to the broker. Redacted: no payload, no secrets. */
export interface Failure {
  readonly reason: FailureReason
  readonly error: { readonly name: string; readonly message: string; readonly stack?: string }
  /** Name of the handler that failed. */
  readonly handler: string
  /** Handler runs so far, over all processes. */
  readonly attempts: number
  /** Unix milliseconds. */
  readonly firstFailedAt: number
  /** Unix milliseconds. */
  readonly lastFailedAt: number
}

/** A message put aside, whole. */
export interface DeadLetter {
  /** Names this letter; one message can be a dead letter of several groups. */
  readonly id: string
  readonly group: string
  readonly topic: string
  /** Where in the topic it was, in the broker's own words. */
  readonly position: string
  readonly message: EncodedMessage
  readonly failure: Failure
  /** Redeliveries before it was put aside. */
  readonly redeliveries: number
}

/** All given fields must match. */
export interface DeadLetterFilter {
  readonly group?: string
  readonly topic?: string
  readonly type?: string
  readonly key?: string
  readonly messageId?: string
  readonly reason?: FailureReason
  /** Name of the error, for example `TypeError`. */
  readonly errorName?: string
  /** Unix milliseconds; last failure at or after. */
  readonly since?: number
  /** Unix milliseconds; last failure before. */
  readonly until?: number
}

export interface Page {
  /** Most letters to return; default 100. */
  readonly limit?: number
  /** Id of the last letter of the page before. */
  readonly after?: string
}

/** Dead letters that failed alike. */
export interface DeadLetterGroup {
  readonly group: string
  readonly type: string
  readonly handler: string
  readonly reason: FailureReason
  readonly errorName: string
  readonly errorMessage: string
  readonly count: number
  /** Unix milliseconds. */
  readonly firstFailedAt: number
  /** Unix milliseconds. */
  readonly lastFailedAt: number
}

export type DeadLetterSelection = readonly string[] | DeadLetterFilter

/** What a letter is changed to by a redrive with `edit`. The id of the message stays. */
export type DeadLetterEdit = (letter: DeadLetter) => EncodedMessage

/** Where dead letters are kept: native to the broker, or any other store given to the bus. Oldest first everywhere. */
export interface DeadLetterStore {
  /** Stores one letter; resolves when it is safe. The same group and message again replaces the earlier one. */
  put(letter: Omit<DeadLetter, 'id'>): Promise<void>
  list(filter?: DeadLetterFilter, page?: Page): Promise<readonly DeadLetter[]>
  get(id: string): Promise<DeadLetter | undefined>
  count(filter?: DeadLetterFilter): Promise<number>
  /** Grouped by group, type, handler, reason and error, largest first. */
  summarize(filter?: DeadLetterFilter): Promise<readonly DeadLetterGroup[]>
  /**
   * Sends the letters back to the group that failed, and to it alone, with the same message id and attempts beginning anew.
   * Returns how many. A letter leaves the store only when the broker has it again.
   */
  redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number>
  /** Deletes letters for good and lets what is parked behind them go on. Returns how many. */
  discard(which: DeadLetterSelection): Promise<number>
}
