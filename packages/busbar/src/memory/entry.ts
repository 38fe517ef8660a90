import type { Delivery, Outgoing } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'

/** One message in one group's line. */
export class Entry {
  readonly message: EncodedMessage
  readonly topic: string
  /** Place in the whole broker; what order is restored by when entries are given back. */
  readonly sequence: number
  attempts = 0
  redeliveries = 0
  firstFailedAt: number | undefined
  /** It has been out of line and comes back before those parked behind it. */
  returning = false

  constructor({ message, topic }: Outgoing, sequence: number) {
    this.message = message
    this.topic = topic
    this.sequence = sequence
  }
}

/** An entry that is handed out. */
export class MemoryDelivery implements Delivery {
  readonly entry: Entry
  readonly message: EncodedMessage
  readonly attempts: number
  readonly redeliveries: number
  /** A process that dies takes its memory with it. */
  readonly crashes = 0
  /** Where it is in the member's list of what is unsettled; -1 once settled or given back. */
  slot = -1
  private controller: AbortController | undefined

  constructor(entry: Entry) {
    this.entry = entry
    this.message = entry.message
    this.attempts = entry.attempts
    this.redeliveries = entry.redeliveries
  }

  get topic(): string {
    return this.entry.topic
  }

  get position(): string {
    return String(this.entry.sequence)
  }

  get firstFailedAt(): number {
    return this.entry.firstFailedAt as number
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    return this.controller.signal
  }

  get lapsed(): boolean {
    return this.controller?.signal.aborted === true
  }

  began(attempts: number): void {
    this.entry.attempts = Math.max(this.entry.attempts, attempts)
  }

  abort(reason: Error): void {
    this.controller ??= new AbortController()
    this.controller.abort(reason)
  }
}
