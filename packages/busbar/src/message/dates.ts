/**
 * Dates where the schema wants Dates.
 *
 * JSON has no dates: a `Date` travels as its ISO string. The schema alone knows where one belongs, and a Standard
 * Schema can only be asked whether it accepts a value. So the data is validated as it came first, and only where
 * that fails, ISO strings at and around the refused values are tried as Dates. A string that the schema accepts stays
 * a string, and what becomes of a message never depends on the messages before it (so nothing is remembered of them).
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { ValidationIssue } from './errors.ts'
import { nameOf, placesAround, withDates } from './iso-places.ts'
import type { Keys, Place } from './iso-places.ts'
import { issuesOf, keysOf } from './schema.ts'
import type { Outcome, Schema, Validate } from './schema.ts'

type Result = StandardSchemaV1.Result<unknown>
type Issues = readonly StandardSchemaV1.Issue[]
type Ask = (data: unknown) => Result | Promise<Result>

/** Each round settles what one choice of places puts right; more are needed only where branches of a union disagree. */
const MAX_ROUNDS = 8
/** With more groups of places than this they are tried all together only: 2 to this power is the most tries of a round. */
const MAX_GROUPS = 6

/** The check of a schema for data that came as JSON. Synchronous wherever the schema is. */
export function reviverOf(schema: Schema): Validate {
  const standard = schema['~standard']
  const ask: Ask = (data) => standard.validate(data)
  return (data) => {
    const result = ask(data)
    return result instanceof Promise
      ? result.then((settled) => revived(ask, data, settled))
      : revived(ask, data, result)
  }
}

function revived(ask: Ask, data: unknown, raw: Result): Outcome | Promise<Outcome> {
  if (raw.issues === undefined) return { data: raw.value }
  return drive(search(data, raw.issues), ask)
}

/** Runs the search, which yields what to validate next, with a schema of either sort. */
function drive(search: Generator<unknown, Outcome, Result>, ask: Ask, answer?: Result): Outcome | Promise<Outcome> {
  let step = answer === undefined ? search.next() : search.next(answer)
  while (step.done !== true) {
    const result = ask(step.value)
    if (result instanceof Promise) return result.then((settled) => drive(search, ask, settled))
    step = search.next(result)
  }
  return step.value
}

/** Round after round the choice that puts most right, until nothing is wrong or nothing helps. */
function* search(data: unknown, raw: Issues): Generator<unknown, Outcome, Result> {
  let dates: readonly Place[] = []
  let issues = raw
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let best: readonly Place[] = []
    for (const places of choices(placesAround(data, Array.from(issues, keysOf)))) {
      const result: Result = yield withDates(data, toggled(dates, places))
      if (result.issues === undefined) return { data: result.value }
      const left = Array.from(result.issues, keysOf)
      const right = places.filter((place) => !left.some((keys) => isAtOrBelow(keys, place.around)))
      if (right.length > best.length) best = right
    }
    if (best.length === 0) break
    dates = toggled(dates, best)
    const result: Result = yield withDates(data, dates)
    if (result.issues === undefined) return { data: result.value }
    issues = result.issues
  }
  return { issues: told(issuesOf(raw), issuesOf(issues)) }
}

/** Strings become Dates, and what had become one a string again: an earlier round may have chosen the wrong branch. */
function toggled(dates: readonly Place[], places: readonly Place[]): readonly Place[] {
  const before = new Map(dates.map((place) => [nameOf(place), place]))
  const added = places.filter((place) => !before.delete(nameOf(place)))
  return [...before.values(), ...added]
}

/** Every choice of at least one group, smallest first; all groups at once where there are too many. */
function choices(groups: readonly (readonly Place[])[]): readonly (readonly Place[])[] {
  if (groups.length === 0) return []
  if (groups.length > MAX_GROUPS) return [groups.flat()]
  const chosen = Array.from({ length: 2 ** groups.length - 1 }, (_, i) =>
    groups.filter((_group, bit) => ((i + 1) >> bit) & 1),
  )
  return chosen.toSorted((a, b) => a.length - b.length).map((choice) => choice.flat())
}

function isAtOrBelow(keys: Keys, around: Keys): boolean {
  return around.every((key, i) => i < keys.length && String(keys[i]) === String(key))
}

/** Of what was wrong with the data as it came, that which no Date has put right. */
function told(raw: readonly ValidationIssue[], left: readonly ValidationIssue[]): readonly ValidationIssue[] {
  const open = new Set(left.map((issue) => issue.path))
  const unsolved = raw.filter((issue) => open.has(issue.path))
  return unsolved.length > 0 ? unsolved : left
}
