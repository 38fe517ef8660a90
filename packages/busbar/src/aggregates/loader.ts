import { type EventStore, type RecordedEvent, UnknownEventError } from '../eventstore/index.ts'
import { definitionOf } from '../message/index.ts'
import type { ReadStreamOptions } from '../store/index.ts'
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
        return begun ?? (await this.#fold(stream, id, at))
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
    const { revision, eventId, newest } = kept
    const progress = { state: model.thaw(id, kept.data), revision, eventId, newest, events: 0 }
    let isSame = false
    for await (const recorded of store.readStream(stream, rangeOf(revision, at))) {
      if (recorded.revision === revision) {
        if (recorded.event.id !== eventId) return undefined
        isSame = true
        continue
      }
      isSame ||= await this.#isTrimmedBehind(stream, revision)
      if (!isSame) return undefined
      if (!this.#step(progress, recorded, at)) break
    }
    return isSame || (await this.#isTrimmedBehind(stream, revision)) ? progress : undefined
  }

  /** Whether the event that a snapshot ends with is the last one that was trimmed; not if the stream was deleted, or is another one. */
  async #isTrimmedBehind(stream: string, revision: number): Promise<boolean> {
    const { deletedAt, first, revision: last } = await this.#options.store.info(stream)
    return deletedAt === undefined && first === revision + 1 && last >= revision
  }

  /** From the first event on; `empty` where there is none. */
  async #fold(stream: string, id: string, at: Moment | undefined): Promise<Progress<State> | 'empty'> {
    const { store, model } = this.#options
    const progress = { state: model.initial(id), revision: -1, eventId: '', newest: -Infinity, events: 0 }
    for await (const recorded of store.readStream(stream, rangeOf(0, at))) {
      if (!this.#step(progress, recorded, at)) break
    }
    return progress.events === 0 ? 'empty' : progress
  }

  /** Goes on by one event. False: it was later than what was asked for. @throws HistoryTrimmedError where one is missing before it. */
  #step(progress: Progress<State>, recorded: RecordedEvent, at: Moment | undefined): boolean {
    const { stream, revision, event, storedAt } = recorded
    const next = progress.revision + 1
    if (revision !== next) throw new HistoryTrimmedError(stream, revision, next)
    // What the store had then is what it had taken until then, in the stream's order.
    if (at instanceof Date && storedAt > at) return false
    if (this.#knows(recorded, progress.state)) progress.state = this.#options.model.evolve(progress.state, event)
    progress.revision = revision
    progress.eventId = event.id
    progress.newest = Math.max(progress.newest, storedAt.getTime())
    progress.events++
    return true
  }

  #knows(recorded: RecordedEvent, state: State): boolean {
    const { model, unknownEvents, store } = this.#options
    if (model.knows(recorded, state)) return true
    if (unknownEvents === 'ignore') return false
    const known = model.contracts?.map((contract) => definitionOf(contract).type)
    const types = known ?? store.contracts.map(({ type }) => type)
    throw new UnknownEventError(recorded.stream, recorded.revision, recorded.event.type, types)
  }

  async #missing(stream: string, id: string): Promise<Loaded<State>> {
    const { deletedAt, first } = await this.#options.store.info(stream)
    if (deletedAt === undefined && first > 0) throw new HistoryTrimmedError(stream, first, 0)
    return { state: this.#options.model.initial(id), revision: -1, exists: false, deleted: deletedAt !== undefined }
  }
}

function rangeOf(from: number, at: Moment | undefined): ReadStreamOptions {
  return typeof at === 'number' ? { from, to: at } : { from }
}
