import { type EventStore, type KnownEvent, type RecordedEvent, UnreadableEventError } from '../eventstore/index.ts'
import type { Position } from '../store/index.ts'
import type { Projection } from './projection.ts'

/** What was read behind a position. */
export interface Batch {
  /** Those of the partition, in order. */
  readonly events: readonly KnownEvent[]
  /** Of the last event that was looked at; that of the question where there was none. */
  readonly position: Position
  /** There is nothing behind it yet. */
  readonly isEnd: boolean
  /** The event behind `position` that cannot be read. */
  readonly unreadable: UnreadableEventError | undefined
}

/** Reads the events of a partition behind a position, at most so many of all partitions. */
export async function readBatch<Model>(
  store: EventStore,
  projection: Projection<Model>,
  partition: number,
  after: Position,
  limit: number,
): Promise<Batch> {
  const { categories } = projection
  const events: KnownEvent[] = []
  let position = after
  let count = 0
  try {
    const types = [...projection.events.keys()]
    for await (const recorded of store.readAll({
      after,
      types,
      limit,
      ...(categories === undefined ? {} : { categories }),
    })) {
      count++
      position = recorded.position
      if (isKnown(recorded) && partitionOf(projection, recorded) === partition) events.push(recorded)
    }
  } catch (error) {
    if (!(error instanceof UnreadableEventError)) throw error
    return { events, position, isEnd: false, unreadable: error }
  }
  return { events, position, isEnd: count < limit, unreadable: undefined }
}

/** Position of the first event for a projection behind another one; undefined where there is none yet. */
export async function nextBehind<Model>(
  store: EventStore,
  { events, categories }: Projection<Model>,
  after: Position,
): Promise<Position | undefined> {
  const asked = { after, types: [...events.keys()], limit: 1, ...(categories === undefined ? {} : { categories }) }
  for await (const { position } of store.storage.readAll(asked)) return position
  return undefined
}

/** Everything up to here is applied by all of them. */
export function leastOf(progress: readonly { readonly position: Position }[]): Position {
  return progress.map(({ position }) => position).reduce((a, b) => (b < a ? b : a), progress[0]?.position ?? '')
}

/** FNV-1a, 32 bits (draft-eastlake-fnv): any hash does, and it must be the same for ever. */
export function partitionOf<Model>({ partitions, partitionBy }: Projection<Model>, recorded: KnownEvent): number {
  if (partitions === 1) return 0
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(partitionBy(recorded))) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) % partitions
}

/** A projection teaches the store its contracts, so all that it asks for is known. */
function isKnown(recorded: RecordedEvent): recorded is KnownEvent {
  return recorded.known
}
