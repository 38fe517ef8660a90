import type { Delivery } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { KnownAside } from './asides.ts'

/**
 * - `held`: in memory and not handed out,
 * - `queued`: waits for an earlier one of its key (only where failed keys park),
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled.
 */
export type DeliveryState = 'held' | 'queued' | 'out' | 'storing' | 'done'

/** Who has it: is told where a run has begun, and knows whether it is still alone with it. */
export interface DeliveryOwner {
  readonly lapsed: boolean
  began(delivery: HandedOut, attempts: number): void | Promise<void>
}

export interface Origin {
  readonly topic: string
  readonly partition: number
  /** Sequence in the log, and its stream; undefined for what was set aside. */
  readonly seq?: number
  readonly stream?: string
  readonly aside?: KnownAside
  /** Key whose messages are not to pass each other. */
  readonly lane?: string | undefined
  readonly attempts?: number
  readonly crashes?: number
  readonly redeliveries?: number
  readonly firstFailedAt?: number | undefined
  readonly suspect?: boolean
  /** It cannot be read: it goes to the dead letters without being handed out. */
  readonly unreadable?: Error
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  readonly partition: number
  readonly position: string
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  attempts: number

  readonly seq: number | undefined
  readonly stream: string | undefined
  readonly aside: KnownAside | undefined
  readonly lane: string | undefined
  readonly suspect: boolean
  readonly unreadable: Error | undefined
  state: DeliveryState = 'held'
  /** Runs begun so far, as told by `began`: the next delivery's `attempts`. */
  begun: number
  /** Milliseconds of `performance.now()` at which it was last handed out. */
  since = 0

  private readonly owner: DeliveryOwner
  private controller: AbortController | undefined
  private aborted = false

  constructor(message: EncodedMessage, from: Origin, owner: DeliveryOwner) {
    const { aside } = from
    this.message = message
    this.topic = from.topic
    this.partition = from.partition
    this.seq = from.seq
    this.stream = from.stream
    this.aside = aside
    this.lane = from.lane ?? aside?.lane
    this.position = aside?.place ?? `${from.partition}@${from.seq ?? '-'}`
    this.attempts = this.begun = Math.max(from.attempts ?? 0, aside?.attempts ?? 0)
    this.redeliveries = from.redeliveries ?? aside?.redeliveries ?? 0
    this.crashes = Math.max(from.crashes ?? 0, aside?.crashes ?? 0)
    this.suspect = from.suspect ?? false
    this.unreadable = from.unreadable
    const firstFailedAt = from.firstFailedAt ?? aside?.firstFailedAt
    if (firstFailedAt !== undefined) this.firstFailedAt = firstFailedAt
    this.owner = owner
  }

  get lapsed(): boolean {
    return this.aborted || this.owner.lapsed
  }

  /** Made when it is asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.aborted) this.controller.abort()
    }
    return this.controller.signal
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
