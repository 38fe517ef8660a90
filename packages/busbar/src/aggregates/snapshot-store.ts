import { EventStore } from '../eventstore/index.ts'
import { type Codec, event, JsonCodec, typed } from '../message/index.ts'
import { ConcurrencyError, StreamDeletedError, type EventStorage } from '../store/index.ts'

/** The state of an aggregate as it was after one of its events. */
export interface StoredSnapshot {
  /** The aggregate's stream. */
  readonly stream: string
  /** Of the last event that it holds. */
  readonly revision: number
  /** Id of that event: a snapshot of a history that is not the stream's is told by it. */
  readonly eventId: string
  /** Unix milliseconds; the latest at which one of its events was stored. */
  readonly newest: number
  /** Of the state's schema. */
  readonly version: number
  /** The state, encoded. */
  readonly state: string
}

/** Where snapshots are kept: the latest of each stream. What is lost here costs time, never correctness, unless history was trimmed behind it. */
export interface SnapshotStore {
  /** The latest of a stream. */
  get(stream: string): Promise<StoredSnapshot | undefined>
  /** Keeps it, unless there is one of a later revision, or of this one and no older version. Older ones may be forgotten once it is there. */
  save(snapshot: StoredSnapshot): Promise<void>
  delete(stream: string): Promise<void>
}

/** Keeps snapshots for as long as the process lives. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #kept = new Map<string, StoredSnapshot>()

  async get(stream: string): Promise<StoredSnapshot | undefined> {
    return this.#kept.get(stream)
  }

  async save(snapshot: StoredSnapshot): Promise<void> {
    const kept = this.#kept.get(snapshot.stream)
    if (isNewer(snapshot, kept)) this.#kept.set(snapshot.stream, snapshot)
  }

  async delete(stream: string): Promise<void> {
    this.#kept.delete(stream)
  }
}

const SnapshotTaken = event('busbar.snapshot', typed<StoredSnapshot>(), { topic: 'busbar.snapshots' })

/**
 * Keeps snapshots beside the events, as the only event of a stream `snapshot-<stream>`: no tables of their own, and one backup
 * holds both. Readers of the whole store meet them as events of type `busbar.snapshot`, topic `busbar.snapshots`.
 */
export class StreamSnapshotStore implements SnapshotStore {
  readonly #store: EventStore<typeof SnapshotTaken>

  /** @param codec Of the snapshots' envelope; the state in it is a text already. Default: `JsonCodec`. */
  constructor(storage: EventStorage, codec: Codec = new JsonCodec()) {
    this.#store = new EventStore(storage, { contracts: [SnapshotTaken], codec })
  }

  async get(stream: string): Promise<StoredSnapshot | undefined> {
    return (await this.#last(stream))?.snapshot
  }

  async save(snapshot: StoredSnapshot): Promise<void> {
    const name = nameOf(snapshot.stream)
    const last = await this.#last(snapshot.stream)
    if (!isNewer(snapshot, last?.snapshot)) return
    const expected = last === undefined ? 'none' : last.revision
    try {
      const { revision } = await this.#store.append(name, SnapshotTaken.create(snapshot), { expected })
      await this.#store.storage.truncateBefore(name, revision)
    } catch (error) {
      // Somebody else has just taken one, or the aggregate is gone.
      if (!(error instanceof ConcurrencyError || error instanceof StreamDeletedError)) throw error
    }
  }

  async delete(stream: string): Promise<void> {
    const { revision, deletedAt } = await this.#store.info(nameOf(stream))
    if (revision >= 0 && deletedAt === undefined) await this.#store.deleteStream(nameOf(stream), { expected: 'any' })
  }

  async #last(stream: string): Promise<{ readonly snapshot: StoredSnapshot; readonly revision: number } | undefined> {
    for await (const { known, event: taken, revision } of this.#store.readStream(nameOf(stream), LAST)) {
      if (known) return { snapshot: taken.data, revision }
    }
    return undefined
  }
}

const LAST = { direction: 'backwards', limit: 1 } as const

function nameOf(stream: string): string {
  return `snapshot-${stream}`
}

function isNewer({ revision, version }: StoredSnapshot, kept: StoredSnapshot | undefined): boolean {
  if (kept === undefined || kept.revision < revision) return true
  return kept.revision === revision && kept.version < version
}
