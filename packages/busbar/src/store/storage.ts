/**
 * The port of event stores: what anything that keeps streams of events must be. Each sentence here is a promise that
 * `eventStoreConformance` (busbar/testing) checks.
 *
 * A storage knows events as they are on a wire; it never looks into a body. Contracts, upcasters and aggregates are above it.
 */
import type { EncodedMessage } from '../message/message.ts'
import type { Broker } from '../broker/broker.ts'
import type { Transaction } from '../transaction/transaction.ts'
import type { StorageCapabilities } from './capabilities.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Position } from './position.ts'

/**
 * What a stream must be when something is appended:
 * - a revision: its last event has exactly this one,
 * - `none`: it has never had an event,
 * - `exists`: it has at least one and is not deleted,
 * - `any`: whatever it is, unless it is deleted.
 */
export type Expected = number | 'none' | 'exists' | 'any'

/** An event as it is kept. */
export interface StoredEvent {
  readonly stream: string
  /** Its place in its stream: 0, 1, 2 …, without gaps. */
  readonly revision: number
  readonly position: Position
  /** Unix milliseconds at which the store took it. */
  readonly storedAt: number
  readonly topic: string
  /** The id is the event's own; `metadata` and attributes are as they were given. */
  readonly message: EncodedMessage
}

/** Events for one stream. */
export interface Append {
  readonly stream: string
  readonly events: readonly NewEvent[]
  readonly expected: Expected
}

export interface NewEvent {
  readonly topic: string
  readonly message: EncodedMessage
}

export interface Appended {
  readonly stream: string
  /** Revision of the last event of the append. */
  readonly revision: number
  readonly position: Position
  /** The stream had exactly these events already: nothing was written. */
  readonly repeated: boolean
}

export interface AppendOptions {
  /** Appends inside this transaction of yours: all of it is there if you commit, none of it if you do not. Only where `capabilities.transactions`. */
  readonly tx?: Transaction
  /**
   * Runs in the transaction of the append, when its events are written and before they are committed: what it writes through `tx`
   * is there exactly if they are. If it rejects, nothing is written and `append` rejects with its error. Not called for
   * repetitions. Only where `capabilities.transactions`, and not beside `tx`: in a transaction of yours you call your function yourself.
   */
  readonly inline?: (tx: Transaction, stored: readonly StoredEvent[]) => Promise<void>
}

export interface ReadStreamOptions {
  /** Default `forwards`. */
  readonly direction?: 'forwards' | 'backwards'
  /** The first revision to be read, in the direction. Default: the first or the last of the stream. */
  readonly from?: number
  /** The last revision to be read, in the direction. */
  readonly to?: number
  /** Most events to be read. Default: all. */
  readonly limit?: number
}

export interface ReadAllOptions {
  /** Events after this position only. Default: from the beginning. */
  readonly after?: Position
  /** Events of these types only. */
  readonly types?: readonly string[]
  /** Events of these categories only: what is before the first `-` of a stream's name. */
  readonly categories?: readonly string[]
  /** Most events to be read. Default: all that there are. */
  readonly limit?: number
}

export interface DeleteStreamOptions {
  /** Default `exists`. */
  readonly expected?: Expected
  /** Who deletes it, for the record that the tombstone is. */
  readonly by?: string
}

export interface StreamInfo {
  readonly stream: string
  /** Of the last event; -1 where it never had one. */
  readonly revision: number
  /** Of the first event that is still kept. */
  readonly first: number
  /** Unix milliseconds, where it is deleted. */
  readonly deletedAt?: number
  /** Who deleted it, where that was said. */
  readonly deletedBy?: string
}

export interface StoreHead {
  /** Of the last event that a reader can see. */
  readonly position: Position
  /** Events that are kept. */
  readonly count: number
}

/** Told of events that may have come: without payload, perhaps several times, perhaps without need. */
export type Wake = () => void

export interface EventStorage {
  /** Short name for people and metrics: `memory`, `sqlite` … */
  readonly name: string
  readonly capabilities: StorageCapabilities
  /** Where readers of this storage keep their place. */
  readonly checkpoints: Checkpoints
  /** Connects and creates what it needs. Safe to call twice. */
  start(): Promise<void>
  /**
   * Resolves when all events of all streams are stored for good; else nothing of them is. Events of one append follow each
   * other in their stream in the order given.
   *
   * Idempotent by event id: an append whose events the stream has already, one after the other, is a repetition. It
   * answers as the first did, whatever `expected` says now. Known ids in any other place or order, or beside new ones, are refused.
   *
   * @throws ConcurrencyError where a stream is not as expected, StreamDeletedError where it is deleted, DuplicateEventError
   *   where an id is taken by another event; in a call with several streams for the first stream that is wrong.
   */
  append(appends: readonly Append[], options?: AppendOptions): Promise<readonly Appended[]>
  /** The events of a stream. A stream that is deleted or was never there has none: `info` tells which. */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<StoredEvent>
  /**
   * The events of all streams in one order, the same for every reader and every reading. An event that has been passed over never
   * appears later: what is being committed holds back what is behind it.
   */
  readAll(options?: ReadAllOptions): AsyncIterable<StoredEvent>
  /** All events with this correlation id, in the order of the whole store. */
  readByCorrelation(correlationId: string): AsyncIterable<StoredEvent>
  info(stream: string): Promise<StreamInfo>
  head(): Promise<StoreHead>
  /**
   * Calls `wake` soon after events came and can be read by `readAll`, also those of other processes (where
   * `capabilities.multiProcess`). Only a hint: whoever listens reads, and remembers the position. Resolves to what ends it.
   */
  listen(wake: Wake): Promise<() => Promise<void>>
  /**
   * Deletes a stream: its events are gone for readers, and a tombstone keeps its name and last revision, so that it is never
   * begun again by mistake. Deleted already: nothing changes, and it answers with the tombstone.
   *
   * @throws ConcurrencyError where it is not as expected (default `exists`).
   */
  deleteStream(stream: string, options?: DeleteStreamOptions): Promise<StreamInfo>
  /** Forgets the events of a stream before a revision; revisions stay as they are. Returns how many. */
  truncateBefore(stream: string, revision: number): Promise<number>
  /** Whether what is appended reaches the groups of this broker by the same commit. Absent: it does not. */
  publishesTo?(broker: Broker): boolean
  /** As that of `Broker`: throws where the caller is part of something that an append waits for. @throws TransactionError */
  assertOutside?(): void
  /** Resolves if the store can be reached and written to; else rejects with the reason. */
  ping(): Promise<void>
  /** Releases what it holds. Safe to call twice. */
  stop(): Promise<void>
}
