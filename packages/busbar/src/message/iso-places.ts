/** Where in data ISO strings stand that may have been Dates. */

/** The keys that lead to a value. */
export type Keys = readonly PropertyKey[]

export interface Place {
  readonly keys: Keys
  /** The value that the schema refused, or the nearest one around it that holds ISO strings. */
  readonly around: Keys
}

/**
 * The ISO strings at or below the refused values, or where there are none at all, next to them: a schema may blame a
 * neighbour (ArkType tells branches of a union apart by the string itself, and then refuses the rest).
 *
 * In groups of which each is to be tried as a whole: the refused ones themselves, where there is nothing to choose, and
 * the others by their path with `*` for every index, since items of an array are alike.
 */
export function placesAround(data: unknown, refused: readonly Keys[]): readonly (readonly Place[])[] {
  const at = refused.flatMap((keys) => placesIn(data, keys))
  return grouped(at.length > 0 ? at : refused.flatMap((keys) => nextTo(data, keys)))
}

function placesIn(data: unknown, around: Keys): readonly Place[] {
  return Array.from(isoStrings(valueAt(data, around), around), (keys) => ({ keys, around }))
}

function nextTo(data: unknown, at: Keys): readonly Place[] {
  for (let length = at.length - 1; length >= 0; length--) {
    const places = placesIn(data, at.slice(0, length))
    if (places.length > 0) return places
  }
  return []
}

function grouped(places: readonly Place[]): readonly (readonly Place[])[] {
  const once = new Map(places.map((place) => [nameOf(place), place]))
  const kind = ({ keys, around }: Place): string => (keys.length === around.length ? '' : generalised(keys))
  return [...Map.groupBy(once.values(), kind).values()]
}

/** Tells places apart. */
export function nameOf({ keys }: Place): string {
  return JSON.stringify(keys.map(String))
}

function* isoStrings(value: unknown, keys: Keys): Generator<Keys> {
  if (typeof value === 'string' && isIso(value)) yield keys
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) yield* isoStrings(child, [...keys, key])
}

function generalised(keys: Keys): string {
  return JSON.stringify(keys.map((key) => (/^\d+$/.test(String(key)) ? '*' : String(key))))
}

/** A moment or a day of ISO 8601. A time of day without an offset is not one: it means another moment in every zone. */
function isIso(text: string): boolean {
  if (text.length < 10 || text.length > 35) return false
  return ISO.test(text) && !Number.isNaN(Date.parse(text))
}

const ISO = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/

function valueAt(data: unknown, keys: Keys): unknown {
  return keys.reduce<unknown>((value, key) => {
    return typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }, data)
}

/** Data with Dates at these places, copied where it is changed, once however many places there are. */
export function withDates(data: unknown, places: readonly Place[]): unknown {
  return changed(
    data,
    places.map(({ keys }) => keys),
    0,
  )
}

function changed(value: unknown, paths: readonly Keys[], depth: number): unknown {
  if (paths.length === 0) return value
  if (paths[0]?.length === depth) return new Date(value as string)
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string, unknown>
  for (const [key, below] of Map.groupBy(paths, (keys) => String(keys[depth])))
    copy[key] = changed(copy[key], below, depth + 1)
  return copy
}
