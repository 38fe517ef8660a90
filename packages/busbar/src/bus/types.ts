/** The public types of the bus. What they promise is said in `bus.ts`, where they are made true. */
import type { Broker, DeadLetterEdit, DeadLetterStore, SubscriptionSpec } from '../broker/index.ts'
import type { AnswerIn, ContractLike, CreateOptions, DataIn, Definition, MessageOf } from '../message/contract.ts'
import type { Codec } from '../message/codec.ts'
import type { Message, Priority } from '../message/message.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { Middleware } from './middleware.ts'
import type { RetryPolicy } from './retry-policy.ts'

/** What to subscribe to: a contract, an event class, a type's name, or a pattern (`order.*`, `*`), or several of them. */
export type Selector = ContractLike | string

/** The message that a handler of `S` gets: inferred from a contract or class, `Message<unknown>` for names and patterns. */
export type MessageFor<S> = S extends readonly (infer One)[]
  ? MessageFor<One>
  : S extends ContractLike
    ? MessageOf<S>
    : Message

/** What a handler of `S` returns: the answer of a query; anything for the rest. */
export type ResultFor<S> = S extends { readonly kind: 'query' } ? AnswerIn<S> : unknown

/** A function, or an object with `handle`. What a handler throws counts as its failure; what it resolves to is ignored, but for queries. */
export type Handler<M = Message, R = unknown> =
  | ((message: M, context: HandlerContext) => R | Promise<R>)
  | { handle(message: M, context: HandlerContext): R | Promise<R> }

/** One of several handlers that share a group, and so one place in line. Made by `on`. */
export interface HandlerEntry {
  readonly selector: Selector | readonly Selector[]
  readonly handler: Handler<never>
}

/** What a handler is given beside its message. */
export interface HandlerContext {
  readonly message: Message
  /** 1 for the first run, counted over retries, redeliveries and processes. */
  readonly attempt: number
  readonly group: string
  readonly topic: string
  /** Aborted when the message is no longer ours (lost lease), on timeout, and when the stop deadline has passed. */
  readonly signal: AbortSignal
  readonly logger: Logger
  /** Publishes with this message as the cause. */
  publish(message: Message | readonly Message[], options?: PublishOptions): Promise<void>
  /** Sends a command with this message as the cause. */
  send(command: Message, options?: PublishOptions): Promise<void>
}

export interface PublishOptions {
  /** Milliseconds before any handler may see it; only with a broker that can delay. */
  readonly delay?: number
  /** The same as a moment. */
  readonly at?: Date
  readonly priority?: Priority
}

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
  /** Milliseconds after which a waiting message counts as one priority higher. Default 1000. */
  readonly ageing?: number
}

export interface SubscriptionStats {
  readonly group: string
  readonly handler: string
  /** Handled to the end. */
  readonly handled: number
  /** Runs that threw. */
  readonly failed: number
  readonly retried: number
  readonly redelivered: number
  readonly deadLettered: number
  /** No handler of this subscription wanted them. */
  readonly skipped: number
  /** Dropped by middleware. */
  readonly filtered: number
  /** Being handled right now. */
  readonly running: number
  /** In memory, not yet begun. */
  readonly waiting: number
  readonly paused: boolean
}

export interface Subscription {
  readonly group: string
  /** Stops handing out, waits for what runs (at most `deadline` milliseconds, default the bus's), gives the rest back. */
  unsubscribe(options?: { readonly deadline?: number }): Promise<void>
  /** Begins no further handler until `resume`. What runs goes on. */
  pause(): void
  resume(): void
  stats(): SubscriptionStats
}

export interface BusOptions {
  /** Name of this application; `source` of what it publishes and the prefix of default groups. Default `app`. */
  readonly source?: string
  /** Topics of messages whose contract names none. Default `events`, `commands`, `queries`. */
  readonly topics?: { readonly event?: string; readonly command?: string; readonly query?: string }
  /** Contracts that the bus knows from the start (those that are subscribed or published are learned). */
  readonly contracts?: readonly ContractLike[]
  readonly codec?: Codec
  readonly clock?: Clock
  readonly logger?: Logger
  /** Default retry policy of subscriptions. */
  readonly retry?: Partial<RetryPolicy>
  readonly concurrency?: number
  readonly prefetch?: number
  /** Milliseconds that `stop` waits for running handlers. Default 10 000. */
  readonly stopDeadline?: number
  /** Instead of the broker's own dead letters. */
  readonly deadLetters?: DeadLetterStore
  readonly onDeadLetter?: DeadLetterHook
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

export interface Health {
  readonly status: 'up' | 'down'
  readonly broker: { readonly name: string; readonly status: 'up' | 'down'; readonly error?: string }
  readonly subscriptions: readonly SubscriptionStats[]
}

export type { Broker, ContractLike, CreateOptions, DataIn, DeadLetterEdit, Definition }
