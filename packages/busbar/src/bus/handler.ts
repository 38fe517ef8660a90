/** Handlers, what they take and what they are given. */
import type { AnswerIn, ContractLike, MessageOf } from '../message/contract.ts'
import type { Message, Priority } from '../message/message.ts'
import type { InboxTransaction } from '../transaction/inbox.ts'
import type { Transaction } from '../transaction/transaction.ts'
import type { Logger } from './logger.ts'

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
export type Handler<M = Message, R = unknown, Context = HandlerContext> =
  | ((message: M, context: Context) => R | Promise<R>)
  | { readonly handle: (message: M, context: Context) => R | Promise<R> }

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
  /** How often this group has given the message back to the broker before this run. */
  readonly redeliveries: number
  readonly group: string
  readonly topic: string
  /** Aborted when the message is no longer ours (lost lease), on timeout, and when the stop deadline has passed. */
  readonly signal: AbortSignal
  readonly logger: Logger
  /**
   * With an inbox: the transaction in which this handler runs, with `tx.client`, what your library has of it. What is written in
   * it, and published with `{ tx }`, is there exactly if the handler succeeds.
   */
  readonly tx?: InboxTransaction
  /** Publishes with this message as the cause. */
  publish(message: Message | readonly Message[], options?: PublishOptions): Promise<void>
  /** Sends a command with this message as the cause. */
  send(command: Message, options?: PublishOptions): Promise<void>
}

/** What a handler is given whose subscription has an inbox. */
export interface InboxContext<Client = unknown> extends HandlerContext {
  readonly tx: InboxTransaction<Client>
}

export interface PublishOptions {
  /** Milliseconds before any handler may see it; only with a broker that can delay. */
  readonly delay?: number
  /** The same as a moment. */
  readonly at?: Date
  readonly priority?: Priority
  /**
   * Publishes inside this transaction of yours: the messages are there exactly if you commit. Made of what your library has by
   * `fromPg`, `fromKysely` … of busbar/transaction. Needs a broker that can (`capabilities.transactions`), or an outbox.
   */
  readonly tx?: Transaction
}
