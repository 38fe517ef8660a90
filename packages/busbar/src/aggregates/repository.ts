import type { AppendEventsOptions, EventStore } from '../eventstore/index.ts'
import { ConfigurationError, type ContractLike, definitionOf, type Message } from '../message/index.ts'
import { categoryOf, type DeleteStreamOptions, type Expected, meet, StreamDeletedError } from '../store/index.ts'
import { AggregateNotFoundError } from './errors.ts'
import { type Loaded, Loader, type Moment } from './loader.ts'
import type { Model } from './model.ts'
import { type ConflictRetry, conflictRetry, retryConflicts } from './retry.ts'
import { StreamSnapshotStore } from './snapshot-store.ts'
import { type SnapshotOptions, Snapshots } from './snapshots.ts'

export interface RepositoryOptions<State> {
  /** Its streams are `<category>-<id>`; so no `-` in it. They are never trimmed but behind a snapshot. */
  readonly category: string
  /** `true`: one after 100 events, beside the events. Default: none are taken. */
  readonly snapshots?: boolean | SnapshotOptions<State>
  /** For conflicting appends. */
  readonly retry?: ConflictRetry
  /** What becomes of an event that the aggregate does not know. Default `error`: `UnknownEventError`. */
  readonly unknownEvents?: 'error' | 'ignore'
}

export interface LoadOptions {
  /** A revision: the state after that event. A Date: the state that the store had then. Default: now. */
  readonly at?: Moment
}

export interface HandleOptions extends AppendEventsOptions {
  /** What the aggregate has to be, for example the revision that a user has seen. Another one is a ConcurrencyError, without retry. Default `any`. */
  readonly expected?: Expected
}

/** What became of a command. */
export interface Handled<State> {
  /** After it. */
  readonly state: State
  /** Of the aggregate's last event; -1 where it has none. */
  readonly revision: number
  /** What was appended; empty where nothing was decided. */
  readonly events: readonly Message[]
}

/** Loads aggregates of one category, whatever their style. Made by `repository`. */
export abstract class Repository<State> {
  readonly category: string
  protected readonly store: EventStore
  protected readonly retry: Required<ConflictRetry>
  readonly #loader: Loader<State>
  readonly #snapshots: Snapshots<State> | undefined

  /** @throws ConfigurationError naming the option. */
  constructor(store: EventStore, model: Model<State>, options: RepositoryOptions<State>) {
    const { category, snapshots = false, unknownEvents = 'error' } = options
    if (typeof category !== 'string' || category === '' || categoryOf(category) !== category) {
      throw new ConfigurationError(
        `'category' must be a name without '-', for example 'order': the stream of order 42 is then 'order-42'`,
      )
    }
    if (unknownEvents !== 'error' && unknownEvents !== 'ignore') {
      throw new ConfigurationError(`'unknownEvents' must be 'error' or 'ignore', not '${String(unknownEvents)}'`)
    }
    this.category = category
    this.store = store
    this.retry = conflictRetry(options.retry)
    const given = typeof snapshots === 'object' ? snapshots : {}
    if (snapshots !== false) {
      const kept = given.store ?? new StreamSnapshotStore(store.storage)
      this.#snapshots = new Snapshots(given, kept, store.privacy, store.logger)
    }
    if (model.contracts !== undefined) this.learn(model.contracts)
    else this.#snapshots?.check(store.contracts)
    this.#loader = new Loader({ store, model, snapshots: this.#snapshots, unknownEvents })
    const own = this.#snapshots
    const revisionOf = async (stream: string): Promise<number | undefined> => (await own?.find(stream))?.revision
    if (own === undefined) store.sourceOfTruth(category)
    else store.sourceOfTruth(category, revisionOf, given.store ?? store.storage)
  }

  /** The stream of an aggregate. @throws ConfigurationError for an id that is none. */
  stream(id: string): string {
    if (typeof id === 'string' && id !== '') return `${this.category}-${id}`
    throw new ConfigurationError(`an id of ${this.category} must be a text that is not empty`)
  }

  /**
   * The state now, or at a revision or time. One that does not exist has the initial state, `exists: false` and revision -1.
   *
   * @throws UnknownEventError, UnreadableEventError, HistoryTrimmedError: never a state that could be wrong.
   */
  async load(id: string, { at }: LoadOptions = {}): Promise<Loaded<State>> {
    const isMoment = at instanceof Date ? !Number.isNaN(at.getTime()) : Number.isSafeInteger(at) && Number(at) >= 0
    if (at !== undefined && !isMoment) {
      throw new ConfigurationError(`'at' must be a revision (a whole number from 0) or a valid Date`)
    }
    return this.#loader.load(this.stream(id), id, at)
  }

  /** The state of one that exists. @throws AggregateNotFoundError; else as `load`. */
  async get(id: string, options?: LoadOptions): Promise<State> {
    const { state, exists, deleted } = await this.load(id, options)
    if (!exists) throw new AggregateNotFoundError(this.category, id, deleted)
    return state
  }

  /** The state, or undefined where it does not exist. @throws As `load`. */
  async find(id: string, options?: LoadOptions): Promise<State | undefined> {
    const { state, exists } = await this.load(id, options)
    return exists ? state : undefined
  }

  /** Deletes it: its events are gone for readers, its snapshots as well, and its id is not used again. @throws ConcurrencyError */
  async delete(id: string, options: DeleteStreamOptions = {}): Promise<void> {
    const stream = this.stream(id)
    await this.store.deleteStream(stream, options)
    await this.#snapshots?.delete(stream)
  }

  /** Takes a snapshot now, whatever the policy says. Its revision; undefined where it does not exist, or could not be kept. */
  async takeSnapshot(id: string): Promise<number | undefined> {
    this.#assertSnapshots()
    return this.#loader.takeSnapshot(this.stream(id), id)
  }

  /**
   * Takes a snapshot and forgets the events before it. Time travel before it is over then. Returns how many events.
   * @throws ConfigurationError without snapshots.
   */
  async trim(id: string): Promise<number> {
    this.#assertSnapshots()
    const snapshot = await this.#loader.takeSnapshot(this.stream(id), id)
    // The event that the snapshot ends with stays: by it a load knows that both are of one history.
    return snapshot === undefined ? 0 : this.store.truncateBefore(this.stream(id), snapshot, { snapshot })
  }

  /**
   * Loads one that is as expected, and acts on it; anew where somebody else was faster. Not in a transaction, whose view would stay
   * the same.
   *
   * @throws ConcurrencyError, StreamDeletedError
   */
  protected attempt<R>(
    id: string,
    { expected = 'any', tx }: HandleOptions,
    act: (loaded: Loaded<State>) => Promise<R>,
  ): Promise<R> {
    const stream = this.stream(id)
    const load = async (): Promise<Loaded<State>> => {
      const loaded = await this.load(id)
      if (loaded.deleted) throw new StreamDeletedError(stream)
      meet(expected, { stream, revision: loaded.revision, first: 0 })
      return loaded
    }
    return retryConflicts(tx === undefined ? this.retry : { ...this.retry, retries: 0 }, stream, load, act)
  }

  /** @throws ConfigurationError */
  protected learn(contracts: readonly ContractLike[]): void {
    for (const contract of contracts) this.store.learn(contract)
    this.#snapshots?.check(contracts.map((contract) => definitionOf(contract)))
  }

  #assertSnapshots(): void {
    if (this.#snapshots !== undefined) return
    throw new ConfigurationError(`repository '${this.category}' has no snapshots: make it with { snapshots: true }`)
  }
}
