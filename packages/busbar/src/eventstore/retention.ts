import { ConfigurationError } from '../message/index.ts'
import { categoryOf, type EventStorage } from '../store/index.ts'
import { TruncationError } from './errors.ts'
import type { Retention } from './options.ts'

/** Revision up to which a snapshot of a stream holds its state; undefined: there is none that could be used. */
export type SnapshotOf = (stream: string) => Promise<number | undefined>

/** Who may forget what: state is made of some streams, and of those nothing is trimmed that no snapshot holds. */
export class Keeping {
  readonly #storage: EventStorage
  readonly #retention: Readonly<Record<string, Retention>>
  /** By category, and there by who keeps the snapshots. */
  readonly #truth = new Map<string, Map<unknown, SnapshotOf | undefined>>()

  /** @throws ConfigurationError */
  constructor(storage: EventStorage, retention: Readonly<Record<string, Retention>>) {
    this.#storage = storage
    this.#retention = retention
    for (const [category, { maxAge, maxEvents }] of Object.entries(retention)) {
      if (maxAge === undefined && maxEvents === undefined) {
        throw new ConfigurationError(`retention of '${category}' says nothing: give maxAge, maxEvents or both`)
      }
      if (maxAge !== undefined && !(maxAge >= 0)) {
        throw new ConfigurationError(`retention of '${category}': maxAge must be 0 or more milliseconds, not ${maxAge}`)
      }
      if (maxEvents !== undefined && !(Number.isSafeInteger(maxEvents) && maxEvents >= 1)) {
        throw new ConfigurationError(
          `retention of '${category}': maxEvents must be a whole number from 1, not ${maxEvents}`,
        )
      }
    }
  }

  get hasRetention(): boolean {
    return Object.keys(this.#retention).length > 0
  }

  /** @throws ConfigurationError where the category has a retention. */
  sourceOfTruth(category: string, snapshotOf: SnapshotOf | undefined, keeper: object | undefined): void {
    if (Object.hasOwn(this.#retention, category)) {
      throw new ConfigurationError(
        `aggregates are loaded from category '${category}', and the store has a retention for it: state that is made of events is ` +
          'wrong without the older ones. Take the retention away',
      )
    }
    const keepers = this.#truth.get(category) ?? new Map<unknown, SnapshotOf | undefined>()
    this.#truth.set(category, keepers.set(keeper ?? snapshotOf, snapshotOf))
  }

  /** @param snapshot Revision whose state a snapshot holds. @throws TruncationError */
  async truncateBefore(stream: string, revision: number, snapshot: number | undefined): Promise<number> {
    if (!Number.isSafeInteger(revision) || revision < 0) {
      throw new TruncationError(stream, `a revision is a whole number from 0, not ${String(revision)}`)
    }
    if (snapshot === undefined) {
      throw new TruncationError(stream, `name the snapshot that holds their state: { snapshot: revision }`)
    }
    if (snapshot < revision - 1) {
      throw new TruncationError(
        stream,
        `the snapshot is of revision ${snapshot}, and what is behind it would be lost: trim before ${snapshot + 1} at most`,
      )
    }
    const keepers = this.#truth.get(categoryOf(stream))?.values() ?? []
    for (const snapshotOf of keepers) await this.#verify(stream, revision, snapshotOf)
    return this.#storage.truncateBefore(stream, revision)
  }

  async #verify(stream: string, revision: number, snapshotOf: SnapshotOf | undefined): Promise<void> {
    if (snapshotOf === undefined) {
      throw new TruncationError(
        stream,
        'aggregates are loaded from them, and their repository keeps no snapshots: give it some',
      )
    }
    const kept = await snapshotOf(stream)
    if (kept !== undefined && kept >= revision - 1) return
    throw new TruncationError(
      stream,
      kept === undefined
        ? 'aggregates are loaded from them, and there is no snapshot that could be used: make one first'
        : `the snapshot that there is holds the state of revision ${kept}: trim before ${kept + 1} at most`,
    )
  }

  /** Forgets what the retention says. Returns how many events. */
  async sweep(now: number): Promise<number> {
    let forgotten = 0
    for (const [category, retention] of Object.entries(this.#retention)) {
      for (const [stream, before] of await this.#due(category, retention, now)) {
        forgotten += await this.#storage.truncateBefore(stream, before)
      }
    }
    return forgotten
  }

  /** For each stream that has something to forget the first revision that is kept. */
  async #due(category: string, { maxAge, maxEvents }: Retention, now: number): Promise<ReadonlyMap<string, number>> {
    const old = new Map<string, number>()
    for await (const { stream, revision, storedAt } of this.#storage.readAll({ categories: [category] })) {
      const isOld = maxAge !== undefined && storedAt < now - maxAge
      // What comes now is younger, and its number does not matter.
      if (!isOld && maxEvents === undefined) break
      old.set(stream, isOld ? revision + 1 : (old.get(stream) ?? 0))
    }
    const due = new Map<string, number>()
    for (const [stream, byAge] of old) {
      const { first, revision } = await this.#storage.info(stream)
      const byCount = maxEvents === undefined ? 0 : revision + 1 - maxEvents
      const before = Math.min(Math.max(byAge, byCount), revision)
      if (before > first) due.set(stream, before)
    }
    return due
  }
}
