import { type EventStore, type RecordedEvent, UnknownEventError } from '../eventstore/index.ts'
import { definitionOf } from '../message/index.ts'
import { HistoryTrimmedError } from './errors.ts'
import type { Model } from './model.ts'
import type { Restored, Snapshots } from './snapshots.ts'

/** A state as it was loaded. */
export interface Loaded<State> {
  /** The initial one where the aggregate does not exist. */
  readonly state: State
  /** Of the last event that it is made of; -1 where there is none. */
  readonly revision: number
  readonly exists: boolean
  /** It was there once. */
  readonly deleted: boolean
}

/** A revision: the state after that event. A Date: the state that the store had then. */
export type Moment = number | Date

export interface LoaderOptions<State> {
  readonly store: EventStore
  readonly model: Model<State>
  readonly snapshots: Snapshots<State> | undefined
  readonly unknownEvents: 'error' | 'ignore'
}

/** Where a fold stands. */
interface Progress<State> {
  state: State
  revision: number
  eventId: string
  newest: number
  /** How many events were folded. */
  events: number
}

/**
 * Makes states of streams. A snapshot is where the fold begins, only if the stream still has the very event that it ends with: the
 * result is the same as without.
 */
export class Loader<State> {
  readonly #options: LoaderOptions<State>

  constructor(options: LoaderOptions<State>) {
    this.#options = options
  }

  /** @throws UnknownEventError, UnreadableEventError, HistoryTrimmedError: never a state that could be wrong. */
  async load(stream: string, id: string, at: Moment | undefined): Promise<Loaded<State>> {
    const done = await this.#make(stream, id, at)
    if (done === 'empty') return this.#missing(stream, id)
    const { events, revision, state } = done
    this.#options.model.stand?.(state, revision)
    if (at === undefined && this.#options.snapshots?.isDue({ events, revision, state }) === true) {
      await this.#take(stream, done)
    }
    return { state, revision, exists: true, deleted: false }
  }

  /** Takes a snapshot now. Its revision; undefined where there is nothing to take one of, or it failed. */
  async takeSnapshot(stream: string, id: string): Promise<number | undefined> {
    if (this.#options.snapshots === undefined) return undefined
    const done = await this.#make(stream, id, undefined)
    if (done === 'empty') return undefined
    return (await this.#take(stream, done)) ? done.revision : undefined
  }

  /** From the snapshot where there is one that fits, else from the first event. */
  async #make(stream: string, id: string, at: Moment | undefined): Promise<Progress<State> | 'empty'> {
    for (let tried = -1; ;) {
      const kept = await this.#usable(stream, at)
      try {
        const begun = kept === undefined ? undefined : await this.#fromSnapshot(stream, id, kept, at)
        return begun ?? (await this.#fold(stream, this.#beginning(id), 0, at))
      } catch (error) {
        // Trimmed by somebody else just now: then there is a later snapshot than the one that was found here.
        const later = error instanceof HistoryTrimmedError ? await this.#usable(stream, at) : undefined
        if (later === undefined || later.revision <= (kept?.revision ?? tried)) throw error
        tried = later.revision
      }
    }
  }

  async #usable(stream: string, at: Moment | undefined): Promise<Restored | undefined> {
    const kept = await this.#options.snapshots?.find(stream)
    if (kept === undefined || at === undefined) return kept
    return (typeof at === 'number' ? kept.revision <= at : kept.newest <= at.getTime()) ? kept : undefined
  }

  async #take(stream: string, done: Progress<State>): Promise<boolean> {
    const { snapshots, model } = this.#options
    const { state, revision, eventId, newest } = done
    return snapshots?.take(stream, { revision, eventId, newest }, state, model.freeze(state)) ?? false
  }

  /** Undefined: the snapshot is of another history. */
  async #fromSnapshot(
    stream: string,
    id: string,
    kept: Restored,
    at: Moment | undefined,
  ): Promise<Progress<State> | undefined> {
    const { store, model } = this.#options
    const progress = {
      state: model.thaw(id, kept.data),
      revision: kept.revision,
      eventId: kept.eventId,
      newest: kept.newest,
      events: 0,
    }
    for await (const { revision, event } of store.readStream(stream, { from: kept.revision, limit: 1 })) {
      if (revision === kept.revision) {
        if (event.id !== kept.eventId) return undefined
        const done = await this.#fold(stream, progress, kept.revision + 1, at)
        return done === 'empty' ? progress : done
      }
      if (revision !== kept.revision + 1) return undefined
    }
    // The event that it ends with is not there: trimmed behind the snapshot, or deleted, or never there.
    const info = await store.info(stream)
    if (info.deletedAt !== undefined || info.first !== kept.revision + 1 || info.revision < kept.revision) {
      return undefined
    }
    const done = await this.#fold(stream, progress, kept.revision + 1, at)
    return done === 'empty' ? progress : done
  }

  /** Folds what comes from a revision on; `empty` where nothing does. */
  async #fold(
    stream: string,
    progress: Progress<State>,
    from: number,
    at: Moment | undefined,
  ): Promise<Progress<State> | 'empty'> {
    const { store, model } = this.#options
    const range = typeof at === 'number' ? { from, to: at } : { from }
    let next = from
    for await (const recorded of store.readStream(stream, range)) {
      if (recorded.revision !== next) throw new HistoryTrimmedError(stream, recorded.revision, next)
      // What the store had then is what it had taken until then, in the stream's order.
      if (at instanceof Date && recorded.storedAt > at) break
      if (this.#knows(recorded, progress.state)) progress.state = model.evolve(progress.state, recorded.event)
      progress.revision = recorded.revision
      progress.eventId = recorded.event.id
      progress.newest = Math.max(progress.newest, recorded.storedAt.getTime())
      progress.events++
      next++
    }
    return next === from ? 'empty' : progress
  }

  #knows(recorded: RecordedEvent, state: State): boolean {
    const { model, unknownEvents, store } = this.#options
    if (model.knows(recorded, state)) return true
    if (unknownEvents === 'ignore') return false
    const known = model.contracts?.map((contract) => definitionOf(contract).type)
    const types = known ?? store.contracts.map(({ type }) => type)
    throw new UnknownEventError(recorded.stream, recorded.revision, recorded.event.type, types)
  }

  #beginning(id: string): Progress<State> {
    return { state: this.#options.model.initial(id), revision: -1, eventId: '', newest: -Infinity, events: 0 }
  }

  async #missing(stream: string, id: string): Promise<Loaded<State>> {
    const { deletedAt, first } = await this.#options.store.info(stream)
    if (deletedAt === undefined && first > 0) throw new HistoryTrimmedError(stream, first, 0)
    return { state: this.#options.model.initial(id), revision: -1, exists: false, deleted: deletedAt !== undefined }
  }
}
