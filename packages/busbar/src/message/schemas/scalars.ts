import { shown } from './findings.ts'
import type { Keywords } from './json-schema.ts'
import type { Reading } from './reading.ts'
import { includes, type Shape, type TypeName } from './shapes.ts'

/**
 * Checks a keyword for texts, numbers or values.
 * @returns Whether it is one.
 */
export function checkScalar(reading: Reading, keyword: string, reader: Keywords, shape: Shape, path: string): boolean {
  if (keyword === 'enum' || keyword === 'const') {
    checkValues(reading, keyword === 'enum' ? reader[keyword] : [reader[keyword]], shape, path)
    return true
  }
  const type = TYPE_OF[keyword]
  if (type === undefined) return false
  if (!shape.types.some((each) => each === type || (each === 'integer' && type === 'number'))) return true
  const limit = reader[keyword]
  if (typeof limit !== (TEXTUAL.has(keyword) ? 'string' : 'number')) {
    reading.found.cannotJudge(path, keyword, `'${keyword}' is ${JSON.stringify(limit)}, which cannot be judged`)
    return true
  }
  if (shape.values === undefined) checkLimit(reading, keyword, limit, shape, path)
  else checkEach(reading, keyword, limit, shape.values, path)
  return true
}

const TYPE_OF: Readonly<Record<string, TypeName>> = {
  minLength: 'string',
  maxLength: 'string',
  pattern: 'string',
  format: 'string',
  minimum: 'number',
  exclusiveMinimum: 'number',
  maximum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'number',
}
const TEXTUAL: ReadonlySet<string> = new Set(['pattern', 'format'])

function checkValues({ found }: Reading, allowed: unknown, { values, keywords }: Shape, path: string): void {
  if (!Array.isArray(allowed)) return found.cannotJudge(path, 'enum', `'enum' is no list`)
  if (values === undefined) {
    const change = found.either(`became limited to ${shown(allowed)}`, `is no longer limited to ${shown(allowed)}`)
    return found.break(path, change, 'may hold something else')
  }
  const refused = values.filter((value) => !includes(allowed, value))
  if (refused.length === 0) return
  const limited = keywords['enum'] !== undefined
  const change = limited
    ? found.either(`no longer allows ${shown(refused)}`, `allows ${shown(refused)} now`)
    : found.either(`became limited to ${shown(allowed)}`, `is no longer limited to ${shown(allowed)}`)
  found.break(path, change, `may hold ${shown(refused)}`)
}

/** The writer's values are few: each is tried. */
function checkEach(
  { found }: Reading,
  keyword: string,
  limit: unknown,
  values: readonly unknown[],
  path: string,
): void {
  const refused: unknown[] = []
  for (const value of values) {
    const fits = holds(keyword, limit, value)
    if (fits === undefined) {
      return found.cannotJudge(path, keyword, `whether ${shown(values)} fit '${keyword}' cannot be judged`)
    }
    if (!fits) refused.push(value)
  }
  if (refused.length > 0) found.break(path, found.change(keyword, limit, undefined), `may hold ${shown(refused)}`)
}

function holds(keyword: string, limit: unknown, value: unknown): boolean | undefined {
  if (typeof value === 'string') {
    if (keyword === 'minLength') return Array.from(value).length >= Number(limit)
    if (keyword === 'maxLength') return Array.from(value).length <= Number(limit)
    return keyword === 'pattern' ? matches(String(limit), value) : undefined
  }
  if (typeof value !== 'number') return undefined
  const bound = Number(limit)
  if (keyword === 'minimum') return value >= bound
  if (keyword === 'exclusiveMinimum') return value > bound
  if (keyword === 'maximum') return value <= bound
  if (keyword === 'exclusiveMaximum') return value < bound
  return isMultiple(value, bound)
}

function matches(pattern: string, value: string): boolean | undefined {
  try {
    return new RegExp(pattern, 'u').test(value)
  } catch {
    return undefined
  }
}

/** Undefined where the division is not exact enough to tell. */
function isMultiple(value: number, of: number): boolean | undefined {
  if (Number.isInteger(value) && Number.isInteger(of) && of > 0) return value % of === 0
  return value === of || undefined
}

function checkLimit(reading: Reading, keyword: string, limit: unknown, shape: Shape, path: string): void {
  const { found } = reading
  const had = shape.keywords[keyword]
  if (had === limit) return
  const fits = isAsTight(keyword, limit, shape)
  if (fits === true) return
  if (fits === undefined) {
    return found.cannotJudge(path, keyword, `${found.change(keyword, limit, had)} cannot be judged`)
  }
  found.break(path, found.change(keyword, limit, had), DATA[keyword] ?? 'may not fit')
}

const DATA: Readonly<Record<string, string>> = {
  minLength: 'may be shorter',
  maxLength: 'may be longer',
  minimum: 'may be less',
  exclusiveMinimum: 'may be less or equal',
  maximum: 'may be more',
  exclusiveMaximum: 'may be more or equal',
  pattern: 'may not match',
  format: 'may be of another format',
  multipleOf: 'may be another number',
}

/** Whether the writer's own limits keep within the reader's. */
function isAsTight(keyword: string, limit: unknown, { keywords, types }: Shape): boolean | undefined {
  const had = keywords[keyword]
  const given = (name: string): number | undefined => (typeof keywords[name] === 'number' ? keywords[name] : undefined)
  const bound = Number(limit)
  const whole = types.every((type) => type === 'integer')
  if (keyword === 'minLength') return (given('minLength') ?? 0) >= bound
  if (keyword === 'maxLength') return (given('maxLength') ?? Infinity) <= bound
  if (keyword === 'pattern') return had === undefined ? false : undefined
  if (keyword === 'format') return isFormatWithin(had, limit)
  if (keyword === 'multipleOf') {
    if (bound === 1 && whole) return true
    return had === undefined ? false : isMultiple(Number(had), bound)
  }
  const lower = lowest(given('minimum'), given('exclusiveMinimum'), whole)
  const upper = lowest(minus(given('maximum')), minus(given('exclusiveMaximum')), whole)
  if (keyword === 'minimum') return lower.bound >= bound
  if (keyword === 'exclusiveMinimum') return lower.bound > bound || (lower.open && lower.bound >= bound)
  if (keyword === 'maximum') return upper.bound >= -bound
  return upper.bound > -bound || (upper.open && upper.bound >= -bound)
}

/** The lower end, and whether it is left out itself. Upper ends are lower ends of the negated numbers. */
function lowest(minimum: number | undefined, exclusive: number | undefined, whole: boolean) {
  const closed = minimum === undefined ? -Infinity : whole ? Math.ceil(minimum) : minimum
  if (exclusive === undefined || exclusive < closed) return { bound: closed, open: false }
  if (!whole) return { bound: exclusive, open: true }
  return { bound: Math.max(closed, Math.floor(exclusive) + 1), open: false }
}

function minus(value: number | undefined): number | undefined {
  return value === undefined ? undefined : -value
}

/** Formats of the specification, and which of them contain which. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  'date-time': [],
  date: [],
  time: [],
  duration: [],
  email: ['idn-email'],
  'idn-email': [],
  hostname: ['idn-hostname'],
  ipv4: ['hostname', 'idn-hostname'],
  ipv6: [],
  uri: ['iri', 'uri-reference', 'iri-reference'],
  iri: ['iri-reference'],
  'uri-reference': ['iri-reference'],
  uuid: ['uri-reference', 'iri-reference'],
}

function isFormatWithin(had: unknown, wanted: unknown): boolean | undefined {
  if (had === undefined) return false
  if (typeof had !== 'string' || typeof wanted !== 'string') return undefined
  return Object.hasOwn(WIDER, wanted) && Object.hasOwn(WIDER, had) ? WIDER[had]?.includes(wanted) : undefined
}
