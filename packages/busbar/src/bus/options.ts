/** Settings of a bus and of a subscription. */
import type { DeadLetterStore, Outbox, SubscriptionSpec } from '../broker/index.ts'
import type { ContractLike } from '../message/contract.ts'
import type { Codec } from '../message/codec.ts'
import type { Inbox } from '../transaction/inbox.ts'
import type { Privacy } from '../message/personal.ts'
import type { EventStorage } from '../store/index.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { Middleware } from './middleware.ts'
import type { RetryPolicy } from './retry-policy.ts'
import type { SchemaOptions } from './schemas.ts'

export interface SubscribeOptions {
  /**
   * Who shares the messages: members of a group compete, in this process and in others. One group is one place in line.
   * Default: `<source>.<selector>`, and `#2` … for further handlers of the same selector on this bus.
   */
  readonly group?: string
  /** Every process gets its own copy; nothing is kept while it is away. Excludes `group`. Default false. */
  readonly broadcast?: boolean
  /** Messages (of different keys) handled at once in this process. Default 10. */
  readonly concurrency?: number
  /** Unsettled deliveries held in memory, at least `concurrency`. Default 10 times `concurrency`. */
  readonly prefetch?: number
  /** Where a group begins that the broker has never seen. Default `latest`. */
  readonly from?: SubscriptionSpec['from']
  /** Name of the handler for dead letters, logs and metrics. Default: the function's or class's name, else the group. */
  readonly name?: string
  readonly retry?: Partial<RetryPolicy>
  /** What a failed message does to those behind it with the same key. Default `continue`. */
  readonly onFailure?: SubscriptionSpec['onFailure']
  /** Topic of a selector that is a name or pattern. Default: the topics of the known contracts that it matches, and the default topic. */
  readonly topic?: string | readonly string[]
  /**
   * Runs the handler in a transaction of your database and remembers there, in the same commit, that this group has handled the
   * message: one that comes again is acked without a run. Made by busbar/inbox. Not with `broadcast`.
   */
  readonly inbox?: Inbox
  /** Milliseconds after which a waiting message counts as one priority higher. Default 1000. */
  readonly ageing?: number
}

export interface BusOptions {
  /** Name of this application; `source` of what it publishes and the prefix of default groups. Default `app`. */
  readonly source?: string
  /**
   * Topics of messages whose contract names none. Default `events`, `commands`, `queries`; and `replies`, to which `.<source>` is added:
   * every process of an application sees its replies.
   */
  readonly topics?: {
    readonly event?: string
    readonly command?: string
    readonly query?: string
    readonly reply?: string
  }
  /** Contracts that the bus knows from the start (those that are subscribed or published are learned). */
  readonly contracts?: readonly ContractLike[]
  /**
   * Registers `contracts` and whatever is subscribed, and refuses to start (or to subscribe) where a version cannot be read
   * as promised. Default: nothing is registered.
   */
  readonly schemas?: SchemaOptions
  readonly codec?: Codec
  /** Encrypts what contracts mark as personal, wherever it is kept (`PersonalData` of busbar/privacy). Default: nothing does. */
  readonly privacy?: Privacy
  readonly clock?: Clock
  readonly logger?: Logger
  /** Default retry policy of subscriptions. */
  readonly retry?: Partial<RetryPolicy>
  readonly concurrency?: number
  readonly prefetch?: number
  /** Milliseconds that `stop` waits for running handlers. Default 10 000. */
  readonly stopDeadline?: number
  /**
   * Takes what is published inside a transaction (`tx`), in the database of that transaction, and hands it on to the broker. Made
   * by `outbox` of busbar/outbox. Default: the broker, where it can.
   */
  readonly outbox?: Outbox
  /** Instead of the broker's own dead letters. */
  readonly deadLetters?: DeadLetterStore
  readonly onDeadLetter?: DeadLetterHook
  /** Where the broker keeps events before it publishes them (`KeepingBroker` of busbar/persistence): what `getStore` gives. */
  readonly store?: EventStorage
  readonly middleware?: readonly Middleware[]
  /** Refuse to publish a type that has no contract. Default false: it is sent unchecked. */
  readonly strict?: boolean
}

/** Told of each dead letter, at most once a second per group and error; `suppressed` counts those not told. Never given payloads. */
export type DeadLetterHook = (alert: DeadLetterAlert) => void | Promise<void>

export interface DeadLetterAlert {
  readonly group: string
  readonly handler: string
  readonly messageId: string
  readonly type: string
  readonly reason: string
  readonly error: { readonly name: string; readonly message: string }
  readonly attempts: number
  readonly suppressed: number
}
