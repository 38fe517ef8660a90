import { setTimeout as sleep } from 'node:timers/promises'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import {
  type Codec,
  ConfigurationError,
  type ContractLike,
  ContractRegistry,
  type Definition,
  definitionOf,
  JsonCodec,
  type Message,
  type Privacy,
} from '../message/index.ts'
import {
  type AppendOptions,
  type Appended,
  BEGINNING,
  type Checkpoints,
  type DeleteStreamOptions,
  type EventStorage,
  type Expected,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StoreHead,
  type StreamInfo,
} from '../store/index.ts'
import { AppendAgainError, UnknownEventError } from './errors.ts'
import type {
  AppendEventsOptions,
  AppendOneOptions,
  EventStoreOptions,
  Inline,
  PreparedAppend,
  ReadEventsOptions,
  StreamEvents,
  SubscribeOptions,
} from './options.ts'
import { Reader } from './reader.ts'
import type { EventOf, NewEventOf, RecordedEvent } from './recorded-event.ts'
import { Keeping, type SnapshotOf } from './retention.ts'
import { type EventHandler, type EventSubscription, Follower } from './subscription.ts'
import { Writer } from './writer.ts'

/** Milliseconds between two tries of an append that something inline wants made again, and until it is given up. */
const AGAIN_AFTER = 10
const LONGEST_AGAIN = 10_000

/**
 * Streams of typed events over any storage. What is appended is validated by its contract; what is read is decoded, brought to
 * the contract's version by its upcasters, and validated again.
 *
 * @example
 * const store = new EventStore(new MemoryEventStorage(), { contracts: [OrderPlaced, OrderPaid] })
 * await store.append('order-1', [OrderPlaced.create({ total: 5 })], { expected: 'none' })
 * for await (const { event } of store.readStream('order-1')) console.log(event.type)
 */
export class EventStore<C extends ContractLike = ContractLike> {
  readonly storage: EventStorage
  readonly codec: Codec
  readonly privacy: Privacy | undefined
  readonly logger: BrokerLogger
  readonly #registry = new ContractRegistry()
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #keeping: Keeping
  readonly #clock: { now(): number }
  readonly #retentionInterval: number
  readonly #inline = new Set<Inline>()
  readonly #subscriptions = new Set<EventSubscription>()
  #sweeper: NodeJS.Timeout | undefined

  /** @throws ConfigurationError where two contracts have one type, or a retention makes no sense. */
  constructor(storage: EventStorage, options: EventStoreOptions<C> = {}) {
    const { contracts = [], source = 'busbar', topic = 'events', retention = {}, privacy } = options
    this.storage = storage
    this.privacy = privacy
    this.codec = options.codec ?? new JsonCodec()
    this.logger = options.logger ?? standardErrorLogger
    this.#clock = options.clock ?? { now: () => Date.now() }
    this.#retentionInterval = options.retentionInterval ?? 60_000
    for (const contract of contracts) this.learn(contract)
    this.#writer = new Writer({ storage, registry: this.#registry, codec: this.codec, privacy, source, topic })
    this.#reader = new Reader(this.#registry, this.codec, privacy)
    this.#keeping = new Keeping(storage, retention)
  }

  /** Connects and creates what the storage needs. Safe to call twice. */
  async start(): Promise<void> {
    await this.storage.start()
    if (!this.#keeping.hasRetention || this.#sweeper !== undefined) return
    this.#sweeper = setInterval(() => void this.#sweep(), this.#retentionInterval)
    this.#sweeper.unref()
  }

  /** Ends its subscriptions, waiting for their handlers, and stops the storage. Safe to call twice. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeper)
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.stop()))
    await this.storage.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** The contracts that it knows: those that were given, and those of events that were appended. */
  get contracts(): readonly Definition[] {
    return this.#registry.all()
  }

  /** Where readers of this store keep their place. */
  get checkpoints(): Checkpoints {
    return this.storage.checkpoints
  }

  /**
   * Takes up a contract, so that events of its type are read by it.
   * @throws ConfigurationError when it is no event's, or another contract has its type.
   */
  learn(contract: ContractLike): void {
    const { kind, type } = definitionOf(contract)
    if (kind !== 'event') throw new ConfigurationError(`${type} is a ${kind}: an event store keeps events`)
    this.#registry.add(contract)
  }

  /**
   * Appends to a stream, all or nothing. Subject and key of the events are the stream, unless they have their own. The same events
   * again, with the same ids, are a repetition: nothing is written, and the answer is the first one's.
   *
   * @throws ConcurrencyError where the stream is not as expected, StreamDeletedError, DuplicateEventError; ValidationError, EncodeError,
   *   MessageTooLargeError or AppendError for what could not be stored at all.
   */
  async append(
    stream: string,
    events: readonly NewEventOf<C>[] | NewEventOf<C>,
    options: AppendOneOptions<EventOf<C>> = {},
  ): Promise<Appended> {
    const list = Array.isArray(events) ? (events as readonly NewEventOf<C>[]) : [events as NewEventOf<C>]
    const { expected = 'any' } = options
    const [appended] = await this.appendAll([{ stream, events: list, expected }], options)
    return appended as Appended
  }

  /** Appends to several streams, all or nothing. Answers in their order. See `append`. */
  async appendAll(
    appends: readonly StreamEvents<NewEventOf<C>>[],
    options: AppendEventsOptions<EventOf<C>> = {},
  ): Promise<readonly Appended[]> {
    const ready = []
    for (const { stream, events, expected = 'any' } of appends) {
      ready.push(await this.#writer.append(stream, events, expected, options))
    }
    const transaction = this.#transaction(options)
    for (const deadline = performance.now() + LONGEST_AGAIN; ; await sleep(AGAIN_AFTER)) {
      try {
        return await this.storage.append(ready, transaction)
      } catch (error) {
        // In a transaction of somebody else it is theirs to make again.
        if (!(error instanceof AppendAgainError) || options.tx !== undefined || performance.now() > deadline)
          throw error
      }
    }
  }

  /**
   * Makes everything ready for an append, which follows when it is called for: validated, encoded, and read back as whoever loads the
   * events will get them. Nothing is stored yet.
   *
   * @throws What `append` throws for events that could not be stored at all; UnreadableEventError for one that could not be read again.
   */
  async prepare(
    stream: string,
    events: readonly NewEventOf<C>[],
    options: AppendOneOptions<EventOf<C>> = {},
  ): Promise<PreparedAppend<EventOf<C>>> {
    const { expected = 'any' } = options
    const ready = await this.#writer.append(stream, events, expected, options)
    const storedAt = this.#clock.now()
    const stored = ready.events.map(({ topic, message }) => {
      const { revision = -1 } = message
      return { topic, message, stream, revision, position: BEGINNING, storedAt }
    })
    return {
      events: (await this.#reader.recordAll(stored)).map(({ event }) => event as EventOf<C>),
      append: async () => {
        const [appended] = await this.storage.append([ready], this.#transaction(options))
        return appended as Appended
      },
    }
  }

  /** The events of a stream. Of one that is deleted or was never there, none: `info` tells which. @throws UnreadableEventError */
  readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<RecordedEvent<EventOf<C>>> {
    return this.#typed(this.#reader.read(this.storage.readStream(stream, options)))
  }

  /** The events of all streams in the order of the store, the same for every reader. @throws UnreadableEventError */
  readAll(options: ReadEventsOptions = {}): AsyncIterable<RecordedEvent<EventOf<C>>> {
    return this.#typed(this.#reader.read(this.storage.readAll(plain(options))))
  }

  /** Everything that one first cause set off, in the order of the store. @throws UnreadableEventError */
  readByCorrelation(correlationId: string): AsyncIterable<RecordedEvent<EventOf<C>>> {
    return this.#typed(this.#reader.read(this.storage.readByCorrelation(correlationId)))
  }

  /**
   * Hands out what there is and then what comes, also from other processes where the storage is shared: one event after the
   * other, none missing, none twice. A handler that throws ends the subscription before its event (`ended` tells). Resolves
   * when it listens.
   *
   * @param options.after Default: from the beginning. From now on: `(await store.head()).position`.
   */
  async subscribe(
    options: SubscribeOptions,
    handler: EventHandler<RecordedEvent<EventOf<C>>>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<EventSubscription> {
    const follower = new Follower({
      storage: this.storage,
      reader: this.#reader,
      logger: this.logger,
      from: plain(options),
      handler: handler as EventHandler<RecordedEvent>,
      signal,
    })
    await follower.start()
    this.#subscriptions.add(follower)
    void follower.ended.then(() => this.#subscriptions.delete(follower))
    return follower
  }

  /**
   * Runs in the transaction of every append of this store, before it is committed; not for repetitions. Only where
   * `storage.capabilities.transactions`, else appends are refused. Returns what takes it away again.
   */
  inline(handler: Inline<EventOf<C>>): () => void {
    const own: Inline = (tx, recorded) => handler(tx, typed<C>(recorded))
    this.#inline.add(own)
    return () => void this.#inline.delete(own)
  }

  /** What a stream is; its `revision` is -1 where it was never there. */
  info(stream: string): Promise<StreamInfo> {
    return this.storage.info(stream)
  }

  head(): Promise<StoreHead> {
    return this.storage.head()
  }

  /**
   * Deletes a stream: its events are gone for readers, and a tombstone tells when and by whom. Its name is not used again.
   * @throws ConcurrencyError where it is not as expected (default `exists`).
   */
  deleteStream(stream: string, options: DeleteStreamOptions = {}): Promise<StreamInfo> {
    return this.storage.deleteStream(stream, options)
  }

  /**
   * Forgets the events of a stream before a revision. Returns how many.
   *
   * @param options.snapshot Revision of the snapshot that holds their state: that of the last event to be forgotten, or a later one.
   * @throws TruncationError without one, and where a repository that loads from the stream does not have it.
   */
  truncateBefore(stream: string, revision: number, options: { readonly snapshot?: number } = {}): Promise<number> {
    return this.#keeping.truncateBefore(stream, revision, options.snapshot)
  }

  /** Forgets what the retention says; done by itself while the store runs. Returns how many events. */
  retain(): Promise<number> {
    return this.#keeping.sweep(this.#clock.now())
  }

  /**
   * Says that state is made of the streams of a category: they are trimmed only behind a snapshot that is really there. Repositories
   * do it for theirs. Where several do, all of them need one.
   *
   * @param snapshotOf Without, they are not trimmed at all.
   * @param keeper Who keeps the snapshots: said again for the same one, the last word counts. Default: `snapshotOf`.
   * @throws ConfigurationError where the category has a retention.
   */
  sourceOfTruth(category: string, snapshotOf?: SnapshotOf, keeper?: object): void {
    this.#keeping.sourceOfTruth(category, snapshotOf, keeper)
  }

  /** The events of a stream as an array; of types without a contract, too. */
  async getEvents(stream: string): Promise<readonly (EventOf<C> | Message)[]> {
    return eventsOf(this.readStream(stream))
  }

  /** Everything that one first cause set off, as an array. */
  async getEventsByCorrelationId(correlationId: string): Promise<readonly (EventOf<C> | Message)[]> {
    return eventsOf(this.readByCorrelation(correlationId))
  }

  /**
   * The events of a stream in order, to make state of.
   * @throws UnknownEventError where the store has contracts and none for one of them: state without it would be wrong.
   */
  async replayEvents(stream: string): Promise<readonly EventOf<C>[]> {
    const contracts = this.#registry.all()
    const events: EventOf<C>[] = []
    for await (const { known, event, revision } of this.readStream(stream)) {
      if (!known && contracts.length > 0) {
        const types = contracts.map(({ type }) => type)
        throw new UnknownEventError(stream, revision, event.type, types)
      }
      events.push(event as EventOf<C>)
    }
    return events
  }

  /**
   * Appends one event to the stream that its subject names. An event that says which revision it makes (0 is the first) is refused where
   * that is not its place.
   *
   * @throws ConfigurationError without a subject; else as `append`.
   */
  async save(event: NewEventOf<C>, options: AppendEventsOptions<EventOf<C>> = {}): Promise<Appended> {
    const { type, id, subject, revision } = event as Message
    if (subject === undefined || subject === '') {
      throw new ConfigurationError(
        `${type} ${id} has no subject, so it is not known which stream it belongs to: give it one, or use append(stream, …)`,
      )
    }
    const expected: Expected = revision === undefined ? 'any' : revision === 0 ? 'none' : revision - 1
    return this.append(subject, [event], { ...options, expected })
  }

  #transaction({ tx, inline }: AppendEventsOptions<EventOf<C>>): AppendOptions {
    const hooks = [...this.#inline]
    if (inline !== undefined) hooks.push((own, recorded) => inline(own, typed<C>(recorded)))
    return {
      ...(tx === undefined ? {} : { tx }),
      ...(hooks.length === 0
        ? {}
        : {
            inline: async (own, stored) => {
              const recorded = await this.#reader.recordAll(stored)
              for (const hook of hooks) await hook(own, recorded)
            },
          }),
    }
  }

  /** The registry holds the contracts of `C`, so what is known is one of their events. */
  #typed(recorded: AsyncIterable<RecordedEvent>): AsyncIterable<RecordedEvent<EventOf<C>>> {
    return recorded as AsyncIterable<RecordedEvent<EventOf<C>>>
  }

  async #sweep(): Promise<void> {
    try {
      await this.retain()
    } catch (error) {
      this.logger.warn({ err: error, store: this.storage.name }, 'the retention of an event store could not be applied')
    }
  }
}

/** The same for a list. */
function typed<C extends ContractLike>(recorded: readonly RecordedEvent[]): readonly RecordedEvent<EventOf<C>>[] {
  return recorded as readonly RecordedEvent<EventOf<C>>[]
}

async function eventsOf<E extends Message>(recorded: AsyncIterable<RecordedEvent<E>>): Promise<(E | Message)[]> {
  const events: (E | Message)[] = []
  for await (const { event } of recorded) events.push(event)
  return events
}

function plain({ types, ...options }: ReadEventsOptions): ReadAllOptions {
  if (types === undefined) return options
  return { ...options, types: types.map((type) => (typeof type === 'string' ? type : definitionOf(type).type)) }
}
