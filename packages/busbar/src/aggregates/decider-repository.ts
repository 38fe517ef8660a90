import type { EventStore } from '../eventstore/index.ts'
import { ConfigurationError, definitionOf, type Message } from '../message/index.ts'
import type { Decider } from './decider.ts'
import { AggregateEndedError } from './errors.ts'
import type { Model } from './model.ts'
import { type Handled, type HandleOptions, Repository, type RepositoryOptions } from './repository.ts'

/** Aggregates that are deciders. */
export class DeciderRepository<Command, State> extends Repository<State> {
  readonly #decider: Decider<Command, Message, Message, State>
  readonly #types: ReadonlySet<string> | undefined

  constructor(
    store: EventStore,
    decider: Decider<Command, Message, Message, State>,
    options: RepositoryOptions<State>,
  ) {
    const types = decider.events?.map((contract) => definitionOf(contract).type)
    super(store, modelOf(decider, types === undefined ? undefined : new Set(types), store), options)
    this.#decider = decider
    this.#types = types === undefined ? undefined : new Set(types)
  }

  /**
   * Loads, decides, and appends what was decided behind exactly what was loaded. A conflict loads and decides anew. Nothing decided:
   * nothing appended. A command that is a message is the cause of its events.
   *
   * @throws ConcurrencyError where it is not as `expected`, or after the last retry; StreamDeletedError; AggregateEndedError; what
   *   `decide` throws; and as `load` and `append`.
   */
  async handle(id: string, command: Command, options: HandleOptions = {}): Promise<Handled<State>> {
    const cause = options.cause ?? (isMessage(command) ? command : undefined)
    const given = cause === undefined ? options : { ...options, cause }
    return this.attempt(id, options, async ({ state, revision }) => {
      if (this.#decider.isTerminal?.(state) === true) throw new AggregateEndedError(this.category, id)
      const decided = await this.#decider.decide(command, state)
      const events: readonly Message[] = Array.isArray(decided) ? decided : [decided]
      if (events.length === 0) return { state, revision, events }
      this.#refuseUnknown(events)
      const expected = revision === -1 ? 'none' : revision
      const prepared = await this.store.prepare(this.stream(id), events, { ...given, expected })
      const appended = await prepared.append()
      const after = prepared.events.reduce((before, event) => this.#decider.evolve(before, event), state)
      return { state: after, revision: appended.revision, events }
    })
  }

  /** What is appended has to be loaded again. */
  #refuseUnknown(events: readonly Message[]): void {
    const types = this.#types
    const wrong = types === undefined ? undefined : events.find((event) => !types.has(event?.type))
    if (wrong === undefined || types === undefined) return
    throw new ConfigurationError(
      `the decider of '${this.category}' decided ${String(wrong?.type)}, which is none of its events (${[...types].join(', ')}): ` +
        'add its contract, so that it can be loaded again',
    )
  }
}

function modelOf<State>(
  decider: Decider<never, Message, Message, State>,
  types: ReadonlySet<string> | undefined,
  store: EventStore,
): Model<State> {
  return {
    contracts: decider.events,
    initial: () => decider.initial(),
    // Without contracts, neither here nor at the store, there is nothing that an event could be unknown to.
    knows: ({ known, event }) => (types === undefined ? known || store.contracts.length === 0 : types.has(event.type)),
    evolve: (state, event) => decider.evolve(state, event),
    freeze: (state) => state,
    thaw: (_id, data) => data as State,
  }
}

function isMessage(command: unknown): command is Message {
  if (typeof command !== 'object' || command === null) return false
  const { id, type, metadata } = command as Partial<Message>
  return typeof id === 'string' && typeof type === 'string' && typeof metadata?.correlationId === 'string'
}
