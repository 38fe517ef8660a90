import type { Findings } from './findings.ts'
import { isKeywords, isSchema, type JsonSchema } from './json-schema.ts'
import type { Reading } from './reading.ts'
import { includes, isWithin, type Shape, shapesOf, strings } from './shapes.ts'

/**
 * A shape has to fit one alternative (with `oneOf` no second one). Alternatives that it cannot be, by its types or by
 * what tells them apart (`kind: 'a'`), are left out; so a change within one variant is reported as what it is.
 */
export function checkAlternatives(
  reading: Reading,
  alternatives: readonly JsonSchema[],
  shape: Shape,
  path: string,
  keyword: 'anyOf' | 'oneOf',
  take: (alternative: JsonSchema) => (reading: Reading) => void,
): void {
  const { found } = reading
  const possible = alternatives.filter((each) => !excludes(reading, each, shape, 'types'))
  if (possible.length === 0) {
    // The one that is meant for it, and has changed.
    const meant = alternatives.filter((each) => !excludes(reading, each, shape, 'values'))
    const changed = meant.length === 1 ? meant.map((each) => reading.trial(take(each)))[0] : undefined
    if (changed !== undefined && changed.breaks.length > 0) return found.add(changed)
    const change = found.either('the alternative for it is gone', 'an alternative was added')
    return found.break(path, change, `may be ${described(shape)}`)
  }
  const results = possible.map((each) => reading.trial(take(each)))
  const [only] = results
  if (only !== undefined && results.length === 1) return found.add(only)
  if (!results.some((each) => each.clean)) {
    found.cannotJudge(path, keyword, `no alternative of '${keyword}' alone takes all of it (${closest(results)})`)
  } else if (keyword === 'oneOf') {
    found.cannotJudge(path, keyword, `data may fit more than one alternative of 'oneOf'`)
  }
}

function closest(results: readonly Findings[]): string {
  const [nearest] = results.toSorted((a, b) => a.breaks.length - b.breaks.length)
  return nearest?.breaks[0]?.text ?? nearest?.unknown[0]?.text ?? ''
}

function described({ keywords, types, values }: Shape): string {
  if (values !== undefined) return values.map((value) => JSON.stringify(value)).join(' or ')
  const properties = isKeywords(keywords['properties']) ? Object.entries(keywords['properties']) : []
  const constants = properties.filter(([, schema]) => isKeywords(schema) && schema['const'] !== undefined)
  if (constants.length === 0) return types.join(' or ')
  return constants.map(([name, schema]) => `${name} ${JSON.stringify((schema as { const: unknown }).const)}`).join(', ')
}

/** What alternatives are told apart by: by what their properties are, or only by constants in them. */
type By = 'types' | 'values'

/** Whether nothing of that shape can fit the alternative. When in doubt: false. */
function excludes({ readerRoot, writerRoot }: Reading, alternative: JsonSchema, shape: Shape, by: By): boolean {
  const shapes = shapesOf(alternative, readerRoot)
  return shapes !== undefined && shapes.every((each) => areApart(each, readerRoot, shape, writerRoot, by, 0))
}

function areApart(
  one: Shape,
  oneRoot: JsonSchema,
  other: Shape,
  otherRoot: JsonSchema,
  by: By,
  depth: number,
): boolean {
  const common = one.types.some((name) => other.types.some((each) => isWithin(name, each) || isWithin(each, name)))
  if (!common && (by === 'types' || depth === 0)) return true
  if (one.values !== undefined && other.values !== undefined) {
    return !one.values.some((value) => includes(other.values ?? [], value))
  }
  if (depth > 2 || ![...one.types, ...other.types].every((type) => type === 'object')) return false
  // A property that one of them demands, and that cannot please both.
  return [...new Set([...strings(one.keywords['required']), ...strings(other.keywords['required'])])].some((name) => {
    const mine = propertyOf(one, name)
    const theirs = propertyOf(other, name)
    if (mine === undefined || theirs === undefined) return false
    const [left, right] = [shapesOf(mine, oneRoot), shapesOf(theirs, otherRoot)]
    if (left === undefined || right === undefined) return false
    return left.every((a) => right.every((b) => areApart(a, oneRoot, b, otherRoot, by, depth + 1)))
  })
}

function propertyOf({ keywords }: Shape, name: string): JsonSchema | undefined {
  const { properties } = keywords
  const schema = isKeywords(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined
  return isSchema(schema) ? schema : undefined
}
