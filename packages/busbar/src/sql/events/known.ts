import { type Append, type Appended, DuplicateEventError, type Position } from '../../store/index.ts'
import type { Row } from '../executor.ts'
import type { EventsDialect } from './dialect.ts'

/** Where an event is whose id is in the store; also one that is forgotten, while the log has it. */
interface Known {
  readonly stream: string
  readonly revision: number
  readonly position: Position
}

/** By id. */
export type KnownEvents = ReadonlyMap<string, Known>

export function idsOf(appends: readonly Append[]): string[] {
  return appends.flatMap(({ events }) => events.map(({ message }) => message.id))
}

/** @param rows What `AppendStatements.known` found. */
export function knownOf(rows: readonly Row[], dialect: EventsDialect): KnownEvents {
  return new Map(
    rows.map((row) => {
      const revision = Number(row['stream_revision'])
      const known = {
        stream: row['stream'] as string,
        revision: revision < 0 ? -1 - revision : revision,
        position: dialect.positionOf(row['position']),
      }
      return [row['id'] as string, known]
    }),
  )
}

/** What the first append of the same events answered. */
export function repetition({ stream, events }: Append, known: KnownEvents): Appended | undefined {
  const places = events.map(({ message }) => known.get(message.id))
  const first = places[0]
  const last = places.at(-1)
  if (first === undefined || last === undefined) return undefined
  const isSame = places.every((one, index) => one?.stream === stream && one.revision === first.revision + index)
  return isSame ? { stream, revision: last.revision, position: last.position, repeated: true } : undefined
}

/** @throws DuplicateEventError */
export function assertNew(stream: string, events: Append['events'], known: KnownEvents): void {
  const taken = events.find(({ message }) => known.has(message.id))
  if (taken !== undefined) throw new DuplicateEventError(stream, taken.message.id)
}
