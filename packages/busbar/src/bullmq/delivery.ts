import { performance } from 'node:perf_hooks'
import type { Delivery } from '../broker/index.ts'
import type { DecodeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Counts } from './counts.ts'

/**
 * - `held`: in memory and not handed out,
 * - `out`: handed to the handler,
 * - `storing`: has a verdict that has to be stored before it counts,
 * - `done`: settled, or not ours any more.
 */
export type DeliveryState = 'held' | 'out' | 'storing' | 'done'

/** Who has the job. */
export interface DeliveryOwner {
  began(delivery: HandedOut, attempts: number): Promise<void>
}

/** What a delivery is made of. */
export interface Origin {
  readonly owner: DeliveryOwner
  readonly jobId: string
  /** The lock of the job holds it; no two deliveries of a job have the same. */
  readonly token: string
  readonly topic: string
  readonly position: string
  readonly message: EncodedMessage
  /** Why it cannot be read; it is put aside without being handed out. */
  readonly unreadable: DecodeError | undefined
  readonly counts: Counts & { readonly suspect: boolean }
  /** Milliseconds of `performance.now()` until which the lock is ours at least. */
  readonly until: number
}

/** One job handed to a member of its group, in the memory of that member. */
export class HandedOut implements Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  readonly position: string
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number

  readonly jobId: string
  readonly token: string
  readonly counts: Counts
  readonly suspect: boolean
  readonly unreadable: DecodeError | undefined
  state: DeliveryState = 'held'
  /** Runs begun so far, as told by `began`. */
  begun: number
  /** Something of this delivery stands in the job: a run told with `began`, or that it is a suspect. */
  marked = false
  /** Milliseconds of `performance.now()` at which it was handed out. */
  since = 0
  until: number

  private readonly owner: DeliveryOwner
  private controller: AbortController | undefined
  private aborted = false

  constructor(from: Origin) {
    const { attempts, redeliveries, crashes, firstFailedAt } = from.counts
    this.owner = from.owner
    this.jobId = from.jobId
    this.token = from.token
    this.topic = from.topic
    this.position = from.position
    this.message = from.message
    this.unreadable = from.unreadable
    this.counts = from.counts
    this.suspect = from.counts.suspect
    this.until = from.until
    this.attempts = this.begun = attempts
    this.redeliveries = redeliveries
    this.crashes = crashes
    if (firstFailedAt !== undefined) this.firstFailedAt = firstFailedAt
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
    return this.aborted || performance.now() > this.until
  }

  began(attempts: number): Promise<void> {
    return this.owner.began(this, attempts)
  }

  abort(): void {
    this.aborted = true
    this.controller?.abort()
  }
}
