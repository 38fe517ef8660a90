/**
 * Dates where the schema wants Dates.
 *
 * JSON has no dates: a `Date` travels as its ISO string. The schema alone knows where one belongs, and a Standard
 * Schema can only be asked whether it accepts a value. So the data is validated as it came first, and only where
 * that fails at, or around, ISO strings are these tried as Dates. A string that the schema accepts stays a string, and
 * what becomes of a message never depends on the messages before it.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { issueOf, keysOf } from './schema.ts'
import type { Outcome, Schema, Validate } from './schema.ts'

type Result = StandardSchemaV1.Result<unknown>
type Issues = readonly StandardSchemaV1.Issue[]
type Keys = readonly PropertyKey[]

/** Conversions tried for one message. Where branches of a union disagree each kind of place is tried by itself. */
const MAX_ROUNDS = 8
/** Kinds of places tried in every combination, fewest first: at most 2 to this power validations a round. */
const MAX_KINDS = 6

/** The check of a schema for data that came as JSON. Synchronous wherever the schema is. */
export function reviverOf(schema: Schema): Validate {
  const standard = schema['~standard']
  return (data) => {
    const result = standard.validate(data)
    if (result instanceof Promise) return result.then((settled) => revived(standard.validate, data, settled))
    return revived(standard.validate, data, result)
  }
}

function revived(
  validate: (data: unknown) => Result | Promise<Result>,
  data: unknown,
  raw: Result,
): Outcome | Promise<Outcome> {
  if (raw.issues === undefined) return { data: raw.value }
  if (kindsOf(data, raw.issues).length === 0) return { issues: raw.issues.map(issueOf) }
  const steps = search(data, raw.issues)
  return drive(steps, validate)
}

/** Runs the search with a validator of either sort: it yields what to validate next. */
function drive(
  steps: Generator<unknown, Outcome, Result>,
  validate: (data: unknown) => Result | Promise<Result>,
  step = steps.next(),
): Outcome | Promise<Outcome> {
  while (step.done !== true) {
    const result = validate(step.value)
    if (result instanceof Promise) return result.then((settled) => drive(steps, validate, steps.next(settled)))
    step = steps.next(result)
  }
  return step.value
}

/** Round after round the conversion that leaves the fewest issues, until there are none or nothing helps. */
function* search(data: unknown, raw: Issues): Generator<unknown, Outcome, Result> {
  let current = data
  let issues = raw
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let best: { readonly data: unknown; readonly issues: Issues } | undefined
    for (const places of combinations(kindsOf(current, issues))) {
      const tried = places.reduce(withDate, current)
      const result: Result = yield tried
      if (result.issues === undefined) return { data: result.value }
      if (result.issues.length < (best?.issues ?? issues).length) best = { data: tried, issues: result.issues }
    }
    if (best === undefined) break
    current = best.data
    issues = best.issues
  }
  return { issues: told(raw, issues) }
}

/** Of what was wrong with the data as it came, that which no Date has put right. */
function told(raw: Issues, left: Issues): readonly ReturnType<typeof issueOf>[] {
  const open = new Set(left.map((issue) => issueOf(issue).path))
  const unsolved = raw.map(issueOf).filter((issue) => open.has(issue.path))
  return unsolved.length > 0 ? unsolved : left.map(issueOf)
}

/**
 * The ISO strings that issues point at or stand around, grouped by their path with `*` for every index: items of an
 * array are alike. Where the issue is right at the string there is nothing to choose, so these come as one kind.
 */
function kindsOf(data: unknown, issues: Issues): readonly (readonly Keys[])[] {
  const kinds = new Map<string, Keys[]>()
  for (const issue of issues) {
    const at = keysOf(issue)
    for (const keys of isoStrings(valueAt(data, at), at)) {
      const kind = keys.length === at.length ? '' : generalised(keys)
      const places = kinds.get(kind)
      if (places === undefined) kinds.set(kind, [keys])
      else if (!places.some((known) => samePath(known, keys))) places.push(keys)
    }
  }
  return [...kinds.values()]
}

function generalised(keys: Keys): string {
  return JSON.stringify(keys.map((key) => (typeof key === 'number' || /^\d+$/.test(String(key)) ? '*' : String(key))))
}

function samePath(one: Keys, other: Keys): boolean {
  return one.length === other.length && one.every((key, i) => String(key) === String(other[i]))
}

function* isoStrings(value: unknown, keys: Keys): Generator<Keys> {
  if (typeof value === 'string' && isIso(value)) yield keys
  if (typeof value !== 'object' || value === null || value instanceof Date) return
  for (const [key, child] of Object.entries(value)) yield* isoStrings(child, [...keys, key])
}

/** A moment or a day of ISO 8601. A time of day without an offset is not one: it means another moment in every zone. */
function isIso(text: string): boolean {
  if (text.length < 10 || text.length > 35) return false
  return ISO.test(text) && !Number.isNaN(Date.parse(text))
}

const ISO = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Every choice of at least one kind, smallest first, as lists of places; all kinds at once where there are too many. */
function combinations(kinds: readonly (readonly Keys[])[]): readonly (readonly Keys[])[] {
  if (kinds.length === 0) return []
  if (kinds.length > MAX_KINDS) return [kinds.flat()]
  const masks = Array.from({ length: 2 ** kinds.length - 1 }, (_, i) => i + 1)
  const bits = (mask: number): number => kinds.filter((_, i) => mask & (1 << i)).length
  return masks
    .toSorted((a, b) => bits(a) - bits(b) || a - b)
    .map((mask) => kinds.filter((_, i) => mask & (1 << i)).flat())
}

function valueAt(data: unknown, keys: Keys): unknown {
  return keys.reduce<unknown>((value, key) => {
    return typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }, data)
}

/** A copy along the path, with a Date at its end. */
function withDate(data: unknown, [key, ...rest]: Keys): unknown {
  if (key === undefined) return new Date(data as string)
  const copy = (Array.isArray(data) ? [...(data as unknown[])] : { ...(data as object) }) as Record<
    PropertyKey,
    unknown
  >
  copy[key] = withDate(copy[key], rest)
  return copy
}
