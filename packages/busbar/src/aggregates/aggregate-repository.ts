import type { AppendEventsOptions, EventStore } from '../eventstore/index.ts'
import { ConfigurationError } from '../message/index.ts'
import { type AggregateRoot, CODEC, COMMITTED, CONTRACTS, EVOLVE, KNOWS, STAND } from './aggregate-root.ts'
import type { Model } from './model.ts'
import { type Handled, type HandleOptions, Repository, type RepositoryOptions } from './repository.ts'

/** A class that extends `AggregateRoot`, whose constructor takes the id alone. */
export type AggregateClass<A> = new (id: string) => A

/** What a class needs for snapshots. */
export interface Snapshotable {
  /** What a snapshot keeps: plain data, no reference to what will change. */
  toSnapshot(): unknown
  /** Makes the state of what `toSnapshot` gave. */
  fromSnapshot(data: never): void
}

/** Aggregates that are objects. */
export class AggregateRepository<A extends AggregateRoot> extends Repository<A> {
  readonly #make: (id: string) => A

  constructor(store: EventStore, aggregate: AggregateClass<A>, options: RepositoryOptions<A>) {
    const learned = { done: false }
    const make = (id: string): A => {
      const made = new aggregate(id)
      made[CODEC](store.codec)
      if (!learned.done) this.learn(made[CONTRACTS])
      learned.done = true
      return made
    }
    if (options.snapshots !== undefined && options.snapshots !== false && !isSnapshotable(aggregate.prototype)) {
      throw new ConfigurationError(
        `${options.category}: for snapshots the class needs toSnapshot(), which gives its state as data, and fromSnapshot(data)`,
      )
    }
    super(store, modelOf(make), options)
    this.#make = make
  }

  /** A new one, to be saved. */
  create(id: string): A {
    this.stream(id)
    return this.#make(id)
  }

  /**
   * Appends what has happened to it, behind exactly what it was loaded with; nothing where nothing has. A conflict is not retried,
   * because what was decided was decided on old state: `handle` decides anew.
   *
   * @throws ConcurrencyError; and as `append`. The events stay uncommitted then.
   */
  async save(aggregate: A, options: AppendEventsOptions = {}): Promise<Handled<A>> {
    const events = aggregate.uncommittedEvents
    const before = aggregate.revision - events.length
    if (events.length > 0) {
      const expected = before === -1 ? 'none' : before
      await this.store.append(this.stream(aggregate.id), events, { ...options, expected })
      aggregate[COMMITTED](events.length)
    }
    return { state: aggregate, revision: aggregate.revision, events }
  }

  /**
   * Loads, lets `act` work on it, and saves. A conflict does so anew, with another object.
   *
   * @throws ConcurrencyError where it is not as `expected`, or after the last retry; StreamDeletedError; what `act` throws; and as `load`
   *   and `append`.
   * @example await orders.handle('42', (order) => order.pay(at))
   */
  async handle(id: string, act: (aggregate: A) => unknown, options: HandleOptions = {}): Promise<Handled<A>> {
    return this.attempt(id, options, async ({ state }) => {
      await act(state)
      return this.save(state, options)
    })
  }
}

function modelOf<A extends AggregateRoot>(make: (id: string) => A): Model<A> {
  return {
    contracts: undefined,
    initial: make,
    knows: ({ event }, aggregate) => aggregate[KNOWS](event.type),
    evolve: (aggregate, event) => {
      aggregate[EVOLVE](event)
      return aggregate
    },
    stand: (aggregate, revision) => aggregate[STAND](revision),
    freeze: (aggregate) => (aggregate as unknown as Snapshotable).toSnapshot(),
    thaw: (id, data) => {
      const made = make(id)
      const restored = made as unknown as Snapshotable
      restored.fromSnapshot(data as never)
      return made
    },
  }
}

function isSnapshotable(prototype: object): boolean {
  return ['toSnapshot', 'fromSnapshot'].every((name) => typeof Reflect.get(prototype, name) === 'function')
}
