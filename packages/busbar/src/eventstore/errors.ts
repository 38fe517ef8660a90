import { BusbarError, DecodeError } from '../message/index.ts'
import type { Position, StoredEvent } from '../store/index.ts'

/**
 * An event is in the store and cannot be read: its body is broken, or its data does not fit the contract, also not through its
 * upcasters. The reading ends with it; `readAll({ after: error.position })` goes on behind it.
 */
export class UnreadableEventError extends BusbarError {
  override readonly name: string = 'UnreadableEventError'
  readonly stream: string
  readonly revision: number
  readonly position: Position
  readonly type: string
  /** `undecodable`: the body is no text of its content type. `invalid`: the data does not fit the contract. */
  readonly reason: 'undecodable' | 'invalid'

  constructor({ stream, revision, position, message }: StoredEvent, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    super(
      `event ${revision} of stream '${stream}' (${message.type}, position ${position}) cannot be read: ${why}. ` +
        'Read with a contract that fits it (its upcasters take older versions), or go on behind its position',
      { cause },
    )
    this.stream = stream
    this.revision = revision
    this.position = position
    this.type = message.type
    this.reason = cause instanceof DecodeError ? 'undecodable' : 'invalid'
  }
}

/** Thrown by what runs inline in an append: nothing was written, and the same append works a moment later. The store makes it again. */
export class AppendAgainError extends BusbarError {
  override readonly name: string = 'AppendAgainError'

  constructor(why: string) {
    super(`${why}: roll the transaction back and append again a moment later`)
  }
}

/** An event is of a type that whoever reads has no contract or no handling of, where passing over it could give a wrong state. */
export class UnknownEventError extends BusbarError {
  override readonly name: string = 'UnknownEventError'
  readonly stream: string
  readonly revision: number
  readonly type: string

  constructor(stream: string, revision: number, type: string, known: readonly string[]) {
    const list = known.length === 0 ? 'none' : known.join(', ')
    super(
      `event ${revision} of stream '${stream}' is of type ${type}, which is not known here (known: ${list}): ` +
        'add its contract and what it means; to leave it out without it would give a wrong state',
    )
    this.stream = stream
    this.revision = revision
    this.type = type
  }
}

/** Events were not trimmed, because state is made of them. Nothing was changed. */
export class TruncationError extends BusbarError {
  override readonly name: string = 'TruncationError'
  /** A stream, or a category. */
  readonly stream: string

  constructor(stream: string, why: string) {
    super(`events of '${stream}' were not trimmed: ${why}`)
    this.stream = stream
  }
}
