/**
 * The port: what anything that carries messages must be. Each sentence here is a promise that
 * `brokerConformance` (busbar/testing) checks.
 */
import type { EncodedMessage } from '../message/message.ts'
import type { Transaction } from '../transaction/transaction.ts'
import type { Capabilities } from './capabilities.ts'
import type { DeadLetterStore, Failure } from './dead-letters.ts'
import type { BrokerMetrics } from './metrics.ts'

/** One message to publish. */
export interface Outgoing {
  readonly topic: string
  readonly message: EncodedMessage
  /** Unix milliseconds before which no handler may see it. Only where `capabilities.delay`. */
  readonly deliverAt?: number
  /** Only this group gets it, as a redelivery does; other groups never see it. */
  readonly group?: string
}

/** What a subscription asks of a broker. */
export interface SubscriptionSpec {
  /**
   * Members with the same group share its messages: each message goes to one of them. Groups are independent:
   * each gets every message. With `broadcast` the name only serves metrics.
   */
  readonly group: string
  /** Topics to read; at least one. */
  readonly topics: readonly string[]
  /** This member alone gets every message published from now on; nothing is remembered for it when it is gone. */
  readonly broadcast: boolean
  /** At most this many deliveries are unsettled in this member at once (at least 1). */
  readonly prefetch: number
  /** Where a group that the broker has never seen begins. `earliest` only where `capabilities.replay`. */
  readonly from: 'latest' | 'earliest'
  /**
   * What a message that leaves the line (redelivery, dead letter) does to those behind it with the same key:
   * they go on, or they are parked behind it until it has been acked or discarded. `park` only where `capabilities.park`;
   * a broker hands out a message of such a subscription only once the one before it with the same key is settled.
   */
  readonly onFailure: 'continue' | 'park'
}

/** One message handed to one group, once. */
export interface Delivery {
  readonly message: EncodedMessage
  readonly topic: string
  /** The broker's own name of the place, for people: `3@42`, an offset, a stream id. */
  readonly position: string
  /**
   * Handler runs of this message in this group that have begun before this delivery, in any process. 0 on the first
   * delivery. It never decreases, whatever process gets the message next: a run that may have been cut off by the death
   * of its process counts as begun (so it is at least 1 after a kill -9 of a member that held the message).
   */
  readonly attempts: number
  /** How often this group gave it back with `redeliver`. */
  readonly redeliveries: number
  /** Runs that began and never settled, because their process died. */
  readonly crashes: number
  /** Unix milliseconds of the first failure, where there was one. */
  readonly firstFailedAt?: number
  /** Aborted when the broker can no longer promise that this member alone has the message (lost lease, stop deadline). */
  readonly signal: AbortSignal
  /**
   * True when this member can no longer be sure to have the message alone: `signal` is aborted, or the lease ran out while
   * the process was too busy to see it. Cheap to ask: the engine does so before it begins a message that has waited, and
   * releases it then.
   */
  readonly lapsed: boolean
  /**
   * Called before a further run of the handler in this process (a retry, never the first run): `attempts` runs have begun
   * so far. Kept with the message, so that the next delivery's `attempts` is at least this, also after kill -9 (where
   * `capabilities.countsCrashes`) and after a `release`. Never rejects.
   */
  began(attempts: number): void | Promise<void>
}

/** What is to become of one delivery. The broker settles it exactly once; a verdict that comes too late does no harm. */
export type Verdict =
  /** Done. */
  | { readonly ack: true }
  /** Give it back: it comes again to this group after `after` milliseconds, never earlier, with `attempts` counted so far. */
  | { readonly redeliver: Redeliver }
  /** Put it aside with its failure. It counts as settled only after the dead letter is stored; until then it stays unsettled. */
  | { readonly deadLetter: Failure }
  /** It was not run to an end: give it to any member of the group again, in its place in line, and count nothing more. */
  | { readonly release: true }

export interface Redeliver {
  /** Milliseconds, 0 or more. */
  readonly after: number
  /** Handler runs so far, to be handed back as `Delivery.attempts`. */
  readonly attempts: number
  /** Unix milliseconds of the first failure. */
  readonly firstFailedAt: number
}

/** What waits for a verdict. */
export interface VerdictListener {
  settled(verdict: Verdict): void
}

/** The promise of a verdict. It need not be a `Promise`: anything with `then` is one. */
export interface Later extends PromiseLike<Verdict> {
  /** As `then`, but without a promise of what `settle` makes of it, and called at once when the verdict comes, not in a later microtask. */
  listen?(listener: VerdictListener): void
}

/**
 * Called for each delivery, in the order of the log within one key. May be called again before an earlier call has
 * settled, up to `prefetch`. Never throws and never rejects. A plain verdict is as good as a promise of one (see `isLater`).
 */
export type Deliver = (delivery: Delivery) => Verdict | Later

export interface BrokerSubscription {
  /**
   * Hands out nothing more from the moment of the call; resolves when all deliveries are settled or `deadline`
   * milliseconds have passed (default: wait for them). What is still unsettled then is given back, its signals are
   * aborted, and its late verdicts do no harm.
   */
  stop(options?: { readonly deadline?: number }): Promise<void>
}

export interface Broker {
  /** Short name for people and metrics: `memory`, `sqlite` … */
  readonly name: string
  readonly capabilities: Capabilities
  readonly deadLetters: DeadLetterStore
  /** Connects and creates what it needs. Safe to call twice. */
  start(): Promise<void>
  /**
   * Resolves when the broker has confirmed every message of the batch; order within a key is the order of the batch and of the calls.
   * Rejects with `PublishError`, which says which messages were not confirmed, where only some failed. Safe to call concurrently.
   * A broker that confirms at once gives back `CONFIRMED`.
   */
  publish(batch: readonly Outgoing[]): Promise<void>
  /**
   * Asked by who makes one batch of what several callers publish, in each call: throws where the caller is part of something that
   * `publish` waits for, and so would wait for itself. Absent: there is no such thing.
   *
   * @throws TransactionError
   */
  assertOutside?(): void
  /**
   * Writes the batch inside a transaction of the caller's: all of it is there, from the commit on, if that is committed, and
   * nothing of it otherwise. Nobody sees it before. What one transaction publishes after another was committed comes after
   * what that one has published, of the same key; within one, the order is that of the calls. If it rejects, nothing was
   * written, and the transaction can go on. Only where `capabilities.transactions`; absent elsewhere.
   *
   * @throws TransactionClosedError where the transaction is over, TransactionError where it is of another database.
   */
  publishIn?(tx: Transaction, batch: readonly Outgoing[]): Promise<void>
  /** Resolves once the broker has really subscribed: nothing confirmed afterwards is missed. */
  subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription>
  /** Forgets a group: its position, redeliveries and parked messages. Its dead letters stay. Refused while it has members. */
  deleteGroup(group: string): Promise<void>
  metrics(): Promise<BrokerMetrics>
  /** Resolves if the broker can be reached and written to; else rejects with the reason. */
  ping(): Promise<void>
  /** Stops every subscription (see `BrokerSubscription.stop`), then releases what it holds. Safe to call twice. */
  stop(options?: { readonly deadline?: number }): Promise<void>
}
