import type { Message } from 'amqplib'
import type { Delivery } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import { type Again, againOf } from './again.ts'
import { foreign, fromWire } from './wire.ts'

/**
 * - `held`: in memory and not handed out,
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled, or not ours any more.
 */
export type DeliveryState = 'held' | 'out' | 'storing' | 'done'

/** Whoever handed a delivery out. */
export interface DeliveryOwner {
  /** The member may not be alone with its messages. */
  readonly doubtful: boolean
  began(delivery: HandedOut, attempts: number): void | Promise<void>
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  readonly position: string
  redeliveries: number
  firstFailedAt?: number
  attempts: number
  crashes: number

  /** By which the channel acks it. */
  readonly tag: number
  /** Names it among the marks of its partition: the message's id, and which of its redeliveries it is. */
  readonly mark: string
  /** The server had handed it to somebody before. */
  readonly returned: boolean
  /** It cannot be read: it goes to the dead letters without being handed out. */
  readonly unreadable: Error | undefined
  /** Unix milliseconds before which it must not be handed out. */
  readonly due: number
  state: DeliveryState = 'held'
  /** It may have killed its process: it runs alone, and its start is stored first. */
  suspect = false
  /** Whether its start is stored, for a suspect. */
  marking: 'storing' | 'stored' | undefined
  acked = false
  /** Runs begun so far, as told by `began`: the next delivery's `attempts`. */
  begun: number
  /** Milliseconds of `performance.now()` at which it was last handed out. */
  since = 0

  private readonly owner: DeliveryOwner
  private controller: AbortController | undefined
  private aborted = false

  constructor(owner: DeliveryOwner, topic: string, place: string, received: Message) {
    this.owner = owner
    this.topic = topic
    const again: Again | undefined = againOf(received)
    this.position = again?.place ?? place
    this.tag = received.fields.deliveryTag ?? 0
    this.returned = received.fields.redelivered ?? false
    let unreadable: Error | undefined
    try {
      this.message = fromWire(received)
    } catch (error) {
      unreadable = error as Error
      this.message = foreign(topic, this.position, received.content)
    }
    this.unreadable = unreadable
    this.mark = `${this.message.id}/${again?.entry ?? ''}`
    this.due = again?.due ?? 0
    this.attempts = this.begun = again?.attempts ?? 0
    this.crashes = again?.crashes ?? 0
    this.redeliveries = again?.redeliveries ?? 0
    if (again?.firstFailedAt !== undefined) this.firstFailedAt = again.firstFailedAt
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
    return this.aborted || this.owner.doubtful
  }

  began(attempts: number): void | Promise<void> {
    return this.owner.began(this, attempts)
  }

  /** It comes again, and its own process keeps it until then. */
  giveBack(attempts: number, firstFailedAt: number): void {
    this.begun = attempts
    this.redeliveries++
    this.firstFailedAt ??= firstFailedAt
  }

  abort(): void {
    this.aborted = true
    this.controller?.abort()
  }
}
