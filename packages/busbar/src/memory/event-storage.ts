import { BrokerError, UnsupportedError } from '../broker/index.ts'
import {
  type Append,
  type Appended,
  type AppendOptions,
  BEGINNING,
  categoryOf,
  type Checkpoints,
  checkAppends,
  checkName,
  ConcurrencyError,
  DuplicateEventError,
  type DeleteStreamOptions,
  type EventStorage,
  meet,
  type Position,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StorageCapabilities,
  type StoredEvent,
  type StoreHead,
  type StreamInfo,
  type Wake,
} from '../store/index.ts'
import { MemoryCheckpoints } from './checkpoints.ts'

export interface MemoryEventStorageOptions {
  readonly clock?: { now(): number }
  /** Largest body in bytes. Default 8 MiB. */
  readonly maxEventBytes?: number
}

/** One stream: its events from revision `first` on. */
interface Stream {
  first: number
  events: StoredEvent[]
  deletedAt: number | undefined
  deletedBy: string | undefined
}

/** Keeps events for as long as the process lives: for tests. What is read is a view of that moment. */
export class MemoryEventStorage implements EventStorage {
  readonly name = 'memory'
  readonly capabilities: StorageCapabilities
  readonly checkpoints: Checkpoints
  readonly #now: () => number
  readonly #streams = new Map<string, Stream>()
  readonly #byId = new Map<string, StoredEvent>()
  readonly #listeners = new Set<Wake>()
  /** In the order of the store; what is deleted or truncated leaves holes. */
  #all: StoredEvent[] = []
  #last = 0
  #stopped = false

  constructor({ clock, maxEventBytes = 8 * 1024 * 1024 }: MemoryEventStorageOptions = {}) {
    this.#now = clock === undefined ? Date.now : () => clock.now()
    this.checkpoints = new MemoryCheckpoints(this.#now)
    this.capabilities = { inProcess: true, durable: false, multiProcess: false, transactions: false, maxEventBytes }
  }

  async start(): Promise<void> {
    this.#assertRunning()
  }

  async append(appends: readonly Append[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    this.#assertRunning()
    if (options.tx !== undefined || options.inline !== undefined) {
      throw new UnsupportedError(
        "the memory event storage has no transactions: append without 'tx' and 'inline', or use SQLite or PostgreSQL",
      )
    }
    checkAppends(appends, this.capabilities.maxEventBytes, this.name)
    // Everything is checked before anything is kept.
    const repeated = appends.map((append) => this.#repeated(append))
    for (const [index, { stream, expected, events }] of appends.entries()) {
      if (repeated[index] !== undefined) continue
      meet(expected, this.#infoOf(stream))
      const taken = events.find(({ message }) => this.#byId.has(message.id))
      if (taken !== undefined) throw new DuplicateEventError(stream, taken.message.id)
    }
    const appended = appends.map((append, index) => repeated[index] ?? this.#keep(append))
    for (const wake of this.#listeners) queueMicrotask(wake)
    return appended
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<StoredEvent> {
    this.#assertRunning()
    const { direction = 'forwards', from, to, limit = Infinity } = options
    const kept = this.#streams.get(stream)?.events ?? []
    const [low, high] = direction === 'forwards' ? [from, to] : [to, from]
    const asked = kept.filter(({ revision }) => revision >= (low ?? 0) && revision <= (high ?? Infinity))
    if (direction === 'backwards') asked.reverse()
    yield* asked.slice(0, limit)
  }

  async *readAll({
    after = BEGINNING,
    types,
    categories,
    limit = Infinity,
  }: ReadAllOptions = {}): AsyncGenerator<StoredEvent> {
    this.#assertRunning()
    const isAsked = ({ position, message, stream }: StoredEvent): boolean =>
      position > after &&
      (types === undefined || types.includes(message.type)) &&
      (categories === undefined || categories.includes(categoryOf(stream)))
    yield* this.#all.filter(isAsked).slice(0, limit)
  }

  async *readByCorrelation(correlationId: string): AsyncGenerator<StoredEvent> {
    this.#assertRunning()
    yield* this.#all.filter(({ message }) => message.metadata.correlationId === correlationId)
  }

  async info(stream: string): Promise<StreamInfo> {
    this.#assertRunning()
    return this.#infoOf(stream)
  }

  async head(): Promise<StoreHead> {
    this.#assertRunning()
    return { position: this.#last === 0 ? BEGINNING : positionOf(this.#last), count: this.#all.length }
  }

  async listen(wake: Wake): Promise<() => Promise<void>> {
    this.#assertRunning()
    const own = (): void => wake()
    this.#listeners.add(own)
    return async () => void this.#listeners.delete(own)
  }

  async deleteStream(stream: string, { expected = 'exists', by }: DeleteStreamOptions = {}): Promise<StreamInfo> {
    this.#assertRunning()
    checkName(stream)
    const info = this.#infoOf(stream)
    if (info.deletedAt !== undefined) return info
    meet(expected, info)
    const kept = this.#streams.get(stream)
    if (kept === undefined) throw new ConcurrencyError(stream, 'exists', -1)
    kept.deletedAt = this.#now()
    kept.deletedBy = by
    this.#forget(kept, info.revision + 1)
    return this.#infoOf(stream)
  }

  async truncateBefore(stream: string, revision: number): Promise<number> {
    this.#assertRunning()
    const kept = this.#streams.get(stream)
    return kept === undefined ? 0 : this.#forget(kept, revision)
  }

  async ping(): Promise<void> {
    this.#assertRunning()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#listeners.clear()
  }

  #keep({ stream, events }: Append): Appended {
    const kept = this.#streams.get(stream) ?? { first: 0, events: [], deletedAt: undefined, deletedBy: undefined }
    this.#streams.set(stream, kept)
    const storedAt = this.#now()
    let revision = this.#infoOf(stream).revision
    let position = BEGINNING
    for (const { topic, message } of events) {
      position = positionOf(++this.#last)
      const event = { stream, revision: ++revision, position, storedAt, topic, message }
      kept.events.push(event)
      this.#all.push(event)
      this.#byId.set(message.id, event)
    }
    return { stream, revision, position, repeated: false }
  }

  /** What the first append of the same events answered. */
  #repeated({ stream, events }: Append): Appended | undefined {
    const known = events.map(({ message }) => this.#byId.get(message.id))
    const first = known[0]
    const last = known.at(-1)
    if (first === undefined || last === undefined) return undefined
    const isSame = known.every((event, index) => event?.stream === stream && event.revision === first.revision + index)
    return isSame ? { stream, revision: last.revision, position: last.position, repeated: true } : undefined
  }

  #infoOf(stream: string): StreamInfo {
    const kept = this.#streams.get(stream)
    if (kept === undefined) return { stream, revision: -1, first: 0 }
    const { first, events, deletedAt, deletedBy } = kept
    const info = { stream, revision: first + events.length - 1, first }
    if (deletedAt === undefined) return info
    return { ...info, deletedAt, ...(deletedBy === undefined ? {} : { deletedBy }) }
  }

  /** Ids stay known, so that a late repetition of an append is recognised. */
  #forget(kept: Stream, before: number): number {
    const gone = new Set(kept.events.filter(({ revision }) => revision < before))
    if (gone.size === 0) return 0
    kept.events = kept.events.filter((event) => !gone.has(event))
    kept.first += gone.size
    this.#all = this.#all.filter((event) => !gone.has(event))
    return gone.size
  }

  #assertRunning(): void {
    if (this.#stopped) throw new BrokerError('the memory event storage was stopped; make another one')
  }
}

/** Of one length, so that they sort as texts. */
function positionOf(sequence: number): Position {
  return String(sequence).padStart(16, '0')
}
