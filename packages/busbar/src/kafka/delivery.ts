import type { Delivery } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Aside } from './asides.ts'

/**
 * - `held`: in memory and not handed out,
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled.
 */
export type DeliveryState = 'held' | 'out' | 'storing' | 'done'

/** Is told of runs that begin, and tells whether they are still its own. */
export interface DeliveryOwner {
  readonly alive: boolean
  began(delivery: HandedOut, attempts: number): void | Promise<void>
}

export interface Origin {
  readonly topic: string
  readonly partition: number
  /** In the log; undefined for what was set aside. */
  readonly offset?: number
  readonly aside?: Aside
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

  readonly offset: number | undefined
  readonly aside: Aside | undefined
  readonly suspect: boolean
  readonly unreadable: Error | undefined
  state: DeliveryState = 'held'
  /** What was committed names it, so it may be handed out. */
  granted = true
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
    this.offset = from.offset
    this.aside = aside
    this.position = aside?.place ?? `${from.partition}@${from.offset ?? '-'}`
    this.attempts = this.begun = Math.max(from.attempts ?? 0, aside?.attempts ?? 0)
    this.redeliveries = from.redeliveries ?? aside?.redeliveries ?? 0
    this.crashes = Math.max(from.crashes ?? 0, aside?.crashes ?? 0)
    this.suspect = from.suspect ?? false
    this.unreadable = from.unreadable
    const firstFailedAt = from.firstFailedAt ?? aside?.firstFailedAt
    if (firstFailedAt !== undefined) this.firstFailedAt = firstFailedAt
    this.owner = owner
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
    return this.aborted || !this.owner.alive
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
