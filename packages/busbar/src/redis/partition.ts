import { performance } from 'node:perf_hooks'
import type { Failure, Redeliver } from '../broker/index.ts'
import { type DeliveryOwner, type HandedOut, isUnsettled } from './delivery.ts'
import type { Topic } from './topology.ts'

/** What has to be stored before a delivery is settled. */
export type Settlement =
  | { readonly what: 'ack' | 'release' | 'park' }
  | { readonly what: 'redeliver'; readonly redeliver: Redeliver }
  | { readonly what: 'dead'; readonly failure: Failure }

export interface ToStore {
  readonly delivery: HandedOut
  readonly settlement: Settlement
}

/** A message that an owner before had open. */
export interface OpenItem {
  readonly id: string
  readonly attempts: number
  readonly crashes: number
  readonly suspect: boolean
}

/** Messages of one key: one at a time, because if it fails those behind it must not have begun. */
export interface Lane {
  head: HandedOut
  readonly waiting: HandedOut[]
}

/** What a member has in memory of one partition that it owns. */
export class OwnedPartition implements DeliveryOwner {
  readonly topic: Topic
  readonly n: number
  readonly token: string
  readonly stream: string
  /** The consumer group of the token: see `scripts/prelude.ts`. */
  readonly consumers: string
  /** Taken over and not read again yet, in order: they come before the log goes on. */
  backlog: OpenItem[]
  /** Id of the last message that was read. */
  last = '0-0'
  /** From the log and not settled, in order. */
  readonly line = new Set<HandedOut>()
  /** From those set aside, and not settled. */
  readonly aside = new Set<HandedOut>()
  /** Ids to be acked with the next step. */
  acks: string[] = []
  /** Runs told with `began`, to be stored with the next step. */
  begun = new Set<HandedOut>()
  /** Some of what is to be acked is marked (it was handed out before, or has begun more than once). */
  marked = false
  storedWaiters: (() => void)[] = []
  toStore: ToStore[] = []
  /** When storing failed: not again before this, by `performance.now()`. */
  storeAgainAt = 0
  storeFailures = 0
  /** There may be more in the log. */
  more = true
  /** Unix milliseconds. When something set aside is due. */
  nextDue = 0
  nextSuspect = 0
  /** Keys of which one is with the handler and those that wait for it, where failed keys park. */
  readonly lanes = new Map<string, Lane>()
  /** Keys of which some came back unrun: those behind have to come back too, before any goes out again. */
  readonly returning = new Set<string>()
  /** Nothing more is handed out; it is released when what is out has settled. */
  draining = false
  /** Another member has it, or it was released: nothing of it may be written any more. */
  lost = false
  /** Until when the lease is known to be ours, by `performance.now()`. Raised by the heartbeat. */
  expires: number

  private readonly onBegan: () => void

  constructor(
    topic: Topic,
    n: number,
    claim: {
      readonly stream: string
      readonly group: string
      readonly token: string
      readonly open: readonly OpenItem[]
      readonly expires: number
    },
    onBegan: () => void,
  ) {
    this.topic = topic
    this.n = n
    this.stream = claim.stream
    this.token = claim.token
    this.consumers = `${claim.group}@${claim.token}`
    this.expires = claim.expires
    this.backlog = [...claim.open]
    this.onBegan = onBegan
  }

  began(delivery: HandedOut, attempts: number): void | Promise<void> {
    if (this.lost || delivery.state !== 'out' || attempts <= delivery.begun) return undefined
    delivery.begun = attempts
    this.begun.add(delivery)
    return new Promise((resolve) => {
      this.storedWaiters.push(resolve)
      this.onBegan()
    })
  }

  /** A process that was busy for longer than the lease does not know yet whether another one has taken it. */
  get lapsed(): boolean {
    return this.lost || performance.now() >= this.expires
  }

  isReturning({ lane, entry }: HandedOut): boolean {
    return lane !== undefined && entry === undefined && this.returning.has(lane)
  }

  get dirty(): boolean {
    return this.acks.length > 0 || this.begun.size > 0 || this.storedWaiters.length > 0
  }

  *all(): Iterable<HandedOut> {
    yield* this.line
    yield* this.aside
  }

  get load(): number {
    return this.line.size + this.aside.size
  }

  /** Is anything with the handler, or has a verdict that is not stored yet? */
  get busy(): boolean {
    for (const delivery of this.all()) if (isUnsettled(delivery)) return true
    return false
  }

  forget(delivery: HandedOut): void {
    this.line.delete(delivery)
    this.aside.delete(delivery)
    this.begun.delete(delivery)
  }

  /** It is not ours any more: whoever still works on something of it is told. */
  lose(): void {
    this.lost = true
    for (const delivery of this.all()) delivery.abort()
    for (const waiter of this.storedWaiters.splice(0)) waiter()
  }
}
