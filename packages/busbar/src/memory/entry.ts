import type { Delivery, Outgoing } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'

/** What a group has of one topic. */
export interface Counts {
  /** Unsettled: waiting, handed out, or waiting for redelivery. */
  lag: number
  /** Waiting for redelivery. */
  redelivering: number
}

/**
 * One message in one group's line, and its delivery once it is handed out. It is handed out once: what comes again is
 * another entry (`again`), so that a verdict or an abort that comes late finds nothing to change.
 */
export class Entry implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  /** Place in the whole broker; what order is restored by when entries are given back. */
  readonly sequence: number
  /** Of its group and topic. */
  readonly counts: Counts
  attempts = 0
  redeliveries = 0
  failedAt: number | undefined
  /** It has been out of line and comes back before those parked behind it. */
  returning = false
  /** Where it is in the member's list of what is unsettled; -1 before it is handed out and once it is settled or given back. */
  slot = -1
  /** Further runs that this member has told of. */
  private begun = 0
  private controller: AbortController | undefined

  constructor({ message, topic }: Outgoing, sequence: number, counts: Counts) {
    this.message = message
    this.topic = topic
    this.sequence = sequence
    this.counts = counts
  }

  /** The same message, to be handed out again. */
  again(): Entry {
    const next = new Entry(this, this.sequence, this.counts)
    next.attempts = Math.max(this.attempts, this.begun)
    next.redeliveries = this.redeliveries
    next.failedAt = this.failedAt
    next.returning = this.returning
    return next
  }

  get position(): string {
    return String(this.sequence)
  }

  /** A process that dies takes its memory with it. */
  get crashes(): number {
    return 0
  }

  get firstFailedAt(): number {
    return this.failedAt as number
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    return this.controller.signal
  }

  get lapsed(): boolean {
    return this.controller?.signal.aborted === true
  }

  began(attempts: number): void {
    this.begun = Math.max(this.begun, attempts)
  }

  abort(reason: Error): void {
    this.controller ??= new AbortController()
    this.controller.abort(reason)
  }
}
