import type { Delivery } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'

/**
 * - `held`: in memory and not handed out (given back, or nothing is handed out just now),
 * - `queued`: waits for an earlier one of its key (only where failed keys park),
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled.
 */
export type DeliveryState = 'held' | 'queued' | 'out' | 'storing' | 'done'

interface Origin {
  /** Id in the partition's stream; empty for what never was there. */
  readonly id: string
  /** Name among those set aside; undefined for what is in line. */
  readonly entry?: string
  readonly place: string
  readonly lane?: string | undefined
  readonly attempts?: number
  readonly redeliveries?: number
  readonly crashes?: number
  readonly firstFailedAt?: number | undefined
  readonly suspect?: boolean
  /** Why it cannot be read; it is put aside without being handed out. */
  readonly unreadable?: Error | undefined
}

/** Who handed it out: is told of runs that begin. */
export interface DeliveryOwner {
  /** It can no longer be sure to have its deliveries alone. */
  readonly lapsed: boolean
  /** One before it with the same key came back unrun: it has to come back too, so that they go out again in order. */
  isReturning?(delivery: HandedOut): boolean
  began(delivery: HandedOut, attempts: number): void | Promise<void>
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  readonly position: string
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  attempts: number

  readonly owner: DeliveryOwner
  readonly id: string
  readonly entry: string | undefined
  readonly lane: string | undefined
  readonly suspect: boolean
  readonly unreadable: Error | undefined
  state: DeliveryState = 'held'
  /** Runs begun so far, as told by `began`: the next delivery's `attempts`. */
  begun: number
  /** Milliseconds of `performance.now()` at which it was last handed out. */
  since = 0

  private controller: AbortController | undefined
  private aborted = false

  constructor(owner: DeliveryOwner, message: EncodedMessage, topic: string, from: Origin) {
    this.owner = owner
    this.message = message
    this.topic = topic
    this.id = from.id
    this.entry = from.entry
    this.position = from.place
    this.lane = from.lane ?? message.key
    this.attempts = this.begun = from.attempts ?? 0
    this.redeliveries = from.redeliveries ?? 0
    this.crashes = from.crashes ?? 0
    this.suspect = from.suspect ?? false
    this.unreadable = from.unreadable
    if (from.firstFailedAt !== undefined) this.firstFailedAt = from.firstFailedAt
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
    return this.aborted || this.owner.lapsed || this.owner.isReturning?.(this) === true
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
