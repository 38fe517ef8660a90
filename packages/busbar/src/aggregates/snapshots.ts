import type { BrokerLogger } from '../broker/logger.ts'
import {
  ConfigurationError,
  type Definition,
  PersonForgottenError,
  type Privacy,
  RichJsonCodec,
} from '../message/index.ts'
import type { SnapshotStore } from './snapshot-store.ts'

export interface SnapshotOptions<State> {
  /**
   * A load that had to read so many events takes a snapshot, so that the next one need not; or whether it does. Default 100.
   */
  readonly every?: number | ((read: SnapshotProgress<State>) => boolean)
  /** Of the shape of the state: raise it when the state or `evolve` changes. A snapshot of another version is passed over. Default 1. */
  readonly version?: number
  /** `{ 1: (old) => new }` takes a state of version 1 to version 2, and so on, instead of passing it over. */
  readonly upcast?: Readonly<Record<number, (old: never) => unknown>>
  /** Default: `StreamSnapshotStore`, beside the events. */
  readonly store?: SnapshotStore
  /** Dot paths of personal data in the state: they are encrypted where the event store encrypts. `[]`: the state holds none. */
  readonly personal?: readonly string[]
  /** Whose data it is; needed with `personal`. */
  readonly person?: (state: State) => string
}

export interface SnapshotProgress<State> {
  /** How many events were read behind the last snapshot. */
  readonly events: number
  readonly revision: number
  readonly state: State
}

/** A state that was read back, ready to go on from. */
export interface Restored {
  readonly revision: number
  readonly eventId: string
  readonly newest: number
  readonly data: unknown
}

/** Carries Dates, Maps, Sets, BigInts and bytes as they are, and refuses what it could not. */
const codec = new RichJsonCodec()

/** Takes snapshots by policy and reads them back. What is not certainly right is passed over. */
export class Snapshots<State> {
  readonly #options: SnapshotOptions<State>
  readonly #store: SnapshotStore
  readonly #privacy: Privacy | undefined
  readonly #logger: BrokerLogger
  readonly #version: number
  /** Told once for each row of failures: what cannot be read or taken now cannot be with the next load either. */
  readonly #told = { find: false, take: false }

  /** @throws ConfigurationError */
  constructor(
    options: SnapshotOptions<State>,
    store: SnapshotStore,
    privacy: Privacy | undefined,
    logger: BrokerLogger,
  ) {
    const { every = 100, version = 1, personal = [], person } = options
    if (typeof every === 'number' && !(Number.isSafeInteger(every) && every >= 1)) {
      throw new ConfigurationError(`snapshots: 'every' must be a whole number of events from 1, not ${every}`)
    }
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new ConfigurationError(`snapshots: 'version' must be a whole number from 1, not ${version}`)
    }
    if (personal.length > 0 && person === undefined) {
      throw new ConfigurationError(
        `snapshots: 'personal' needs 'person', as in { person: (state) => state.customerId }`,
      )
    }
    this.#options = options
    this.#store = store
    this.#privacy = privacy
    this.#logger = logger
    this.#version = version
  }

  /** @throws ConfigurationError where personal data of the events could come into snapshots in the clear. */
  check(definitions: readonly Definition[]): void {
    if (this.#privacy === undefined || this.#options.personal !== undefined) return
    const found = definitions.find(({ personal }) => personal.length > 0)
    if (found === undefined) return
    throw new ConfigurationError(
      `${found.type} has personal data, which the event store encrypts, and snapshots would keep it in the clear: name where it is in the ` +
        `state, as in snapshots: { personal: ['email'], person: (state) => state.id }; [] where it is not there`,
    )
  }

  isDue(read: SnapshotProgress<State>): boolean {
    const { every = 100 } = this.#options
    return read.events > 0 && (typeof every === 'number' ? read.events >= every : every(read))
  }

  /** The latest one of a stream, if it can be used for certain. */
  async find(stream: string): Promise<Restored | undefined> {
    try {
      const kept = await this.#store.get(stream)
      if (kept === undefined || kept.stream !== stream) return undefined
      const decoded = codec.decode(kept.state)
      const { data, erased } = (await this.#privacy?.reveal(decoded)) ?? { data: decoded, erased: false }
      // What was forgotten is gone from the events as well, and their contracts say what stands in its place.
      if (erased) return undefined
      const current = this.#upcast(data, kept.version)
      if (current === undefined) return undefined
      const { revision, eventId, newest } = kept
      this.#told.find = false
      return { revision, eventId, newest, data: current.data }
    } catch (error) {
      this.#tell('find', error, stream, 'a snapshot cannot be read; all events are read instead')
      return undefined
    }
  }

  /** @param data What `state` is kept as. False: it could not be kept, which costs only time. */
  async take(stream: string, at: Omit<Restored, 'data'>, state: State, data: unknown): Promise<boolean> {
    const { personal = [], person } = this.#options
    try {
      const isSecret = this.#privacy !== undefined && personal.length > 0 && person !== undefined
      const safe = isSecret ? await this.#privacy?.protect(data, personal, person(state)) : data
      const { revision, eventId, newest } = at
      await this.#store.save({ stream, revision, eventId, newest, version: this.#version, state: codec.encode(safe) })
      this.#told.take = false
      return true
    } catch (error) {
      // Nobody's fault, and it stays so: of who was forgotten nothing is written any more.
      if (error instanceof PersonForgottenError) return false
      this.#tell('take', error, stream, 'a snapshot cannot be taken; loading goes on without')
      return false
    }
  }

  async delete(stream: string): Promise<void> {
    await this.#store.delete(stream)
  }

  #tell(what: 'find' | 'take', error: unknown, stream: string, text: string): void {
    if (this.#told[what]) return
    this.#told[what] = true
    this.#logger.warn({ err: error, stream }, text)
  }

  #upcast(data: unknown, from: number): { readonly data: unknown } | undefined {
    const { upcast = {} } = this.#options
    if (from > this.#version) return undefined
    let current = data
    for (let version = from; version < this.#version; version++) {
      const next = upcast[version] as ((old: unknown) => unknown) | undefined
      if (next === undefined) return undefined
      current = next(current)
    }
    return { data: current }
  }
}
