import type { Delivery, Outgoing, Verdict, VerdictListener } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'

/** What one group has of one topic. */
export interface Reading {
  /** Takes a new message of it. */
  accept(outgoing: Outgoing, sequence: number): void
  /** Unsettled: waiting, handed out, or waiting for redelivery. */
  lag: number
  /** Waiting for redelivery. */
  redelivering: number
}

/** Whom an entry is handed out to. */
interface Holder {
  settle(entry: Entry, verdict: Verdict): void
}

/**
 * One message in one group's line, and its delivery once it is handed out. It is handed out once: what comes again is
 * another entry (`again`), so that a verdict or an abort that comes late finds nothing to change.
 */
export class Entry implements Delivery, VerdictListener {
  readonly message: EncodedMessage
  readonly topic: string
  /** Place in the whole broker; what order is restored by when entries are given back. */
  readonly sequence: number
  readonly reading: Reading
  attempts = 0
  redeliveries = 0
  failedAt: number | undefined
  /** It has been out of line and comes back before those parked behind it. */
  returning = false
  /** The member that it is handed out to. */
  holder: Holder | undefined
  /** Where it is in the member's list of what is unsettled; -1 before it is handed out and once it is settled or given back. */
  slot = -1
  /** Further runs that this member has told of. */
  private begun = 0
  private controller: AbortController | undefined

  constructor({ message, topic }: Outgoing, sequence: number, reading: Reading) {
    this.message = message
    this.topic = topic
    this.sequence = sequence
    this.reading = reading
  }

  /** The same message, to be handed out again. */
  again(): Entry {
    const next = new Entry(this, this.sequence, this.reading)
    next.attempts = Math.max(this.attempts, this.begun)
    next.redeliveries = this.redeliveries
    next.failedAt = this.failedAt
    next.returning = this.returning
    return next
  }

  settled(verdict: Verdict): void {
    this.holder?.settle(this, verdict)
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
