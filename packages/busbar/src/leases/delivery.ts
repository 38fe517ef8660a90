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

/** Who hands deliveries out: mostly a partition that is leased. */
export interface DeliveryOwner {
  /** It can no longer be sure to have its deliveries alone. */
  readonly lapsed: boolean
  /** Is told of runs that begin. */
  began(delivery: LeasedDelivery, attempts: number): void | Promise<void>
  /** One before it with the same key came back unrun: it has to come back too, so that they go out again in order. */
  isReturning?(delivery: LeasedDelivery): boolean
}

/** What is known of a message beside itself. */
export interface Known {
  /** What order is kept by; default: the message's key. */
  readonly lane?: string | undefined
  readonly attempts?: number
  readonly redeliveries?: number
  readonly crashes?: number
  readonly firstFailedAt?: number | undefined
  /** It was handed out when its process died. */
  readonly suspect?: boolean
}

/** One message handed to one group, in the memory of its member, for as long as the member's right to it lasts. */
export abstract class LeasedDelivery<Owner extends DeliveryOwner = DeliveryOwner> implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  abstract readonly position: string
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  attempts: number

  readonly owner: Owner
  readonly lane: string | undefined
  readonly suspect: boolean
  state: DeliveryState = 'held'
  /** Runs begun so far, as told by `began`: the next delivery's `attempts`. */
  begun: number
  /** Milliseconds of `performance.now()` at which it was last handed out. */
  since = 0

  private controller: AbortController | undefined
  private aborted = false

  constructor(owner: Owner, message: EncodedMessage, topic: string, known: Known) {
    this.owner = owner
    this.message = message
    this.topic = topic
    this.lane = known.lane ?? message.key
    this.attempts = this.begun = known.attempts ?? 0
    this.redeliveries = known.redeliveries ?? 0
    this.crashes = known.crashes ?? 0
    this.suspect = known.suspect ?? false
    if (known.firstFailedAt !== undefined) this.firstFailedAt = known.firstFailedAt
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
export function isUnsettled(delivery: LeasedDelivery): boolean {
  return delivery.state === 'out' || delivery.state === 'storing'
}
