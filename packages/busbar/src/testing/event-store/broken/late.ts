import {
  type Append,
  BEGINNING,
  type EventStorage,
  type Position,
  type StoredEvent,
  type Wake,
} from '../../../store/index.ts'
import type { HeldAppend } from '../target.ts'
import { altered, showing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Appends that have their place before they are committed, as in a database with many writers. */
export const lateDefects: readonly Defect[] = [
  {
    does: 'shows what is behind an append that is not committed',
    caughtBy:
      'what is behind an append that is not committed yet is not shown before it, and after its commit both are, in order',
    saying: /2 never came/,
    ...late({ holdsBack: false, wakes: true }),
  },
  {
    does: 'passes over the first of two appends that are committed the other way round',
    caughtBy: 'two appends held open and committed the other way round: a reader by pages misses neither',
    saying: /never came/,
    ...late({ holdsBack: false, wakes: true }),
  },
  {
    does: 'tells nobody when what it held back can be read',
    caughtBy: 'what was behind an append that is rolled back is shown then, and its listeners are woken',
    saying: /2 never came/,
    ...late({ holdsBack: true, wakes: false }),
  },
]

/** The same without a defect: what it must not be caught at. */
export const soundlyLate: Pick<Defect, 'wrap' | 'hold'> = late({ holdsBack: true, wakes: true })

interface Place {
  readonly at: Position
  isOpen: boolean
}

interface Late {
  readonly places: Place[]
  readonly wakes: Set<Wake>
  /** Position in the order by the id of an event that has one of its own. */
  readonly positions: Map<string, Position>
  readonly sound: EventStorage
}

const lates = new WeakMap<EventStorage, Late>()
/** A stream whose only use is to draw positions. */
const DRAWN = 'drawn-for-later'

function late(how: { readonly holdsBack: boolean; readonly wakes: boolean }): Required<Pick<Defect, 'wrap' | 'hold'>> {
  return {
    wrap(sound) {
      const kept: Late = { places: [], wakes: new Set(), positions: new Map(), sound }
      const placed = showing(sound, (event) => ({
        ...event,
        position: kept.positions.get(event.message.id) ?? event.position,
      }))
      const storage = altered(placed, {
        async *readAll({ after = BEGINNING, limit, ...options } = {}) {
          const read: StoredEvent[] = []
          for await (const event of placed.readAll(options)) if (event.stream !== DRAWN) read.push(event)
          const bound = how.holdsBack ? kept.places.find(({ isOpen }) => isOpen)?.at : undefined
          const isShown = ({ position }: StoredEvent): boolean =>
            position > after && (bound === undefined || position < bound)
          yield* read
            .toSorted((a, b) => (a.position < b.position ? -1 : 1))
            .filter(isShown)
            .slice(0, limit)
        },
        async listen(wake) {
          kept.wakes.add(wake)
          const end = await sound.listen(wake)
          return () => {
            kept.wakes.delete(wake)
            return end()
          }
        },
      })
      lates.set(storage, kept)
      return storage
    },
    async hold(storage, appends) {
      const kept = lates.get(storage)
      if (kept === undefined) throw new Error('this storage was not wrapped')
      const [drawn] = await kept.sound.append([
        { stream: DRAWN, expected: 'any', events: appends[0]?.events.map(copied) ?? [] },
      ])
      const place: Place = { at: drawn?.position ?? '', isOpen: true }
      kept.places.push(place)
      return held(kept, place, appends, how.wakes)
    },
  }
}

function held(kept: Late, place: Place, appends: readonly Append[], wakes: boolean): HeldAppend {
  const over = (): void => {
    place.isOpen = false
    if (wakes) for (const wake of kept.wakes) wake()
  }
  return {
    async commit() {
      for (const [n, { message }] of appends.flatMap(({ events }) => events).entries()) {
        kept.positions.set(message.id, `${place.at}-${String(n).padStart(4, '0')}`)
      }
      await kept.sound.append(appends)
      over()
    },
    rollback: () => Promise.resolve(over()),
  }
}

function copied(event: Append['events'][number]): Append['events'][number] {
  return { ...event, message: { ...event.message, id: `drawn-for-${event.message.id}` } }
}
