import type { BrokerLogger } from '../broker/logger.ts'
import type { Codec, ContractLike, Message, Metadata, Privacy } from '../message/index.ts'
import type { Appended, Expected, Position } from '../store/index.ts'
import type { Transaction } from '../transaction/index.ts'
import type { RecordedEvent } from './recorded-event.ts'

export interface EventStoreOptions<C extends ContractLike = ContractLike> {
  /** The events that are kept: what is read has their types. Those of appended events are learned as well. */
  readonly contracts?: readonly C[]
  /** The application, for events that name none. Default `busbar`. */
  readonly source?: string
  /** Default: `JsonCodec`. */
  readonly codec?: Codec
  /** Encrypts what contracts mark as personal (`PersonalData` of busbar/privacy). Default: nothing does. */
  readonly privacy?: Privacy
  /** Default: one JSON line each on standard error. */
  readonly logger?: BrokerLogger
  /** For retention. Default: the machine's. */
  readonly clock?: { now(): number }
  /** Of events whose contract names none. Default `events`. */
  readonly topic?: string
  /** What is forgotten by itself, by category. Never a category that aggregates are loaded from. Default: nothing. */
  readonly retention?: Readonly<Record<string, Retention>>
  /** Milliseconds between two sweeps of the retention while the store runs. Default 60 000. */
  readonly retentionInterval?: number
}

/** How long the events of one category are kept. The last event of a stream is kept always, so that its revisions go on. */
export interface Retention {
  /** Milliseconds since it was stored. */
  readonly maxAge?: number
  /** Of each stream. */
  readonly maxEvents?: number
}

export interface AppendEventsOptions<E extends Message = Message> {
  /**
   * Appends inside this transaction of yours. Only where `storage.capabilities.transactions`.
   */
  readonly tx?: Transaction
  /** Runs in the transaction of the append, before it is committed. Only where `storage.capabilities.transactions`. */
  readonly inline?: Inline<E>
  /** What caused these events: they take its correlation id and its id as causation id. Default: the message that is being handled. */
  readonly cause?: Message
  /** Headers of these events, where they do not say otherwise themselves. */
  readonly metadata?: Partial<Metadata>
}

export interface AppendOneOptions<E extends Message = Message> extends AppendEventsOptions<E> {
  /** What the stream has to be. Default `any`. */
  readonly expected?: Expected
}

/** An append that is ready to be made. */
export interface PreparedAppend<E extends Message = Message> {
  /** As they will be read. Their `revision` is their place only where `expected` was a revision or `none`. */
  readonly events: readonly E[]
  /** Makes it. See `EventStore.append`. */
  append(): Promise<Appended>
}

/** Events for one stream of several. */
export interface StreamEvents<New extends Message = Message> {
  readonly stream: string
  readonly events: readonly New[]
  /** Default `any`. */
  readonly expected?: Expected
}

/** Does something in the transaction of an append: it is there exactly if the events are. Rejecting takes both back. */
export type Inline<E extends Message = Message> = {
  // A method, so that a store of some contracts can be given where any store is wanted.
  inline(tx: Transaction, recorded: readonly RecordedEvent<E>[]): Promise<void>
}['inline']

export interface ReadEventsOptions {
  /** Events after this position only. Default: from the beginning. */
  readonly after?: Position
  /** Events of these types only: names, contracts or classes. */
  readonly types?: readonly (string | ContractLike)[]
  /** Events of these categories only: what is before the first `-` of a stream's name. */
  readonly categories?: readonly string[]
  /** Most events to be read. Default: all that there are. */
  readonly limit?: number
}

export type SubscribeOptions = Omit<ReadEventsOptions, 'limit'>
