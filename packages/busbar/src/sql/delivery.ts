import type { Delivery } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Position } from './dialect.ts'

/**
 * - `held`: in memory and not handed out (given back, or nothing is handed out just now),
 * - `queued`: waits for an earlier one of its key (only where failed keys park),
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled; not part of the open list.
 */
export type DeliveryState = 'held' | 'queued' | 'out' | 'storing' | 'done'

/** Where a delivery came from and what is told there. */
export interface DeliveryOwner {
  began(delivery: HandedOut, attempts: number): void | Promise<void>
  /** The place for people. */
  place(delivery: HandedOut): string
  /** Its right to hand out may have run out. */
  readonly lapsed: boolean
  /** One before it with the same key came back unrun: it has to come back too, so that they go out again in order. */
  isReturning(delivery: HandedOut): boolean
}

interface Origin {
  /** Place in the log; null for what never was there. */
  readonly position: Position
  /** Number of the row among those set aside; undefined for what is in line. */
  readonly entry?: number
  readonly place?: string
  readonly lane?: string | undefined
  readonly attempts?: number
  readonly redeliveries?: number
  readonly crashes?: number
  readonly firstFailedAt?: number | undefined
  readonly suspect?: boolean
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  attempts: number

  readonly owner: DeliveryOwner
  readonly origin: Position
  readonly entry: number | undefined
  readonly lane: string | undefined
  readonly suspect: boolean
  state: DeliveryState = 'held'
  /** Runs begun so far, as told by `began`: the next delivery's `attempts`. */
  begun: number
  /** Milliseconds of `performance.now()` at which it was last handed out. */
  since = 0

  private readonly knownPlace: string | undefined
  private controller: AbortController | undefined
  private aborted = false

  constructor(owner: DeliveryOwner, message: EncodedMessage, topic: string, from: Origin) {
    this.owner = owner
    this.message = message
    this.topic = topic
    this.origin = from.position
    this.entry = from.entry
    this.knownPlace = from.place
    this.lane = from.lane ?? message.key
    this.attempts = this.begun = from.attempts ?? 0
    this.redeliveries = from.redeliveries ?? 0
    this.crashes = from.crashes ?? 0
    this.suspect = from.suspect ?? false
    if (from.firstFailedAt !== undefined) this.firstFailedAt = from.firstFailedAt
  }

  get position(): string {
    return this.knownPlace ?? this.owner.place(this)
  }

  /** Made when it is asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.aborted) this.controller.abort()
    }
    return this.controller.signal
  }

  get lapsed(): boolean {
    return this.aborted || this.owner.lapsed || this.owner.isReturning(this)
  }

  began(attempts: number): void | Promise<void> {
    return this.owner.began(this, attempts)
  }

  abort(): void {
    this.aborted = true
    this.controller?.abort()
  }
}

/** It was handed out, and what became of it is not known or not stored. */
export function isUnsettled(delivery: HandedOut): boolean {
  return delivery.state === 'out' || delivery.state === 'storing'
}
