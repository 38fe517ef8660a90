import { ANNOTATIONS, isKeywords, type JsonSchema, type Keywords, MAPS, resolve } from './json-schema.ts'

/** Keywords whose lists are sets. */
const SETS: ReadonlySet<string> = new Set(['required', 'type', 'enum', 'anyOf', 'oneOf', 'allOf'])

/**
 * A text that is the same for schemas that mean the same as far as the eye sees: without descriptions, whatever the
 * order of keys and alternatives, and whatever the definitions are called (libraries number them anew in each process).
 */
export function canonical(schema: JsonSchema): string {
  const names = new Map<string, number>()
  const bodies: string[] = []
  const refer = (ref: unknown): unknown => {
    if (typeof ref !== 'string' || ref === '#') return ref
    const target = resolve(schema, ref)
    if (target === undefined) return ref
    const known = names.get(ref)
    if (known !== undefined) return known
    const name = names.size
    names.set(ref, name)
    bodies[name] = JSON.stringify(ordered(target, refer))
    return name
  }
  const main = JSON.stringify(ordered(schema, refer))
  return bodies.length === 0 ? main : JSON.stringify([main, ...bodies])
}

/** The same text for two parts of schemas: equal as written, references taken by their names. */
export function textOf(value: unknown): string {
  return JSON.stringify(ordered(value, (ref) => ref)) ?? 'undefined'
}

export function sameSchema(one: JsonSchema, other: JsonSchema): boolean {
  return canonical(one) === canonical(other)
}

/** Whether what it means depends on the document it stands in. */
export function refers(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(refers)
  if (!isKeywords(value)) return false
  return Object.entries(value).some(([key, each]) => key === '$ref' || key === '$dynamicRef' || refers(each))
}

type Refer = (ref: unknown) => unknown

function ordered(schema: unknown, refer: Refer): unknown {
  if (!isKeywords(schema)) return Array.isArray(schema) ? schema.map((each) => ordered(each, refer)) : schema
  const kept = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key))
  return Object.fromEntries(kept.toSorted().map((key) => [key, keyword(key, schema[key], refer)]))
}

function keyword(key: string, value: unknown, refer: Refer): unknown {
  if (key === '$ref') return refer(value)
  if (key === 'const' || key === 'enum')
    return Array.isArray(value) && key === 'enum' ? sorted(value.map(plain)) : plain(value)
  if (MAPS.has(key) && isKeywords(value)) return byName(value, refer)
  if (!SETS.has(key) || !Array.isArray(value)) return ordered(value, refer)
  return sorted(value.map((each) => ordered(each, refer)))
}

function byName(schemas: Keywords, refer: Refer): unknown {
  const names = Object.keys(schemas).toSorted()
  return Object.fromEntries(names.map((name) => [name, ordered(schemas[name], refer)]))
}

/** A value, not a schema: all its keys count. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!isKeywords(value)) return value
  const keys = Object.keys(value).toSorted()
  return Object.fromEntries(keys.map((key) => [key, plain(value[key])]))
}

function sorted(values: readonly unknown[]): readonly unknown[] {
  return values.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** A JSON value as a text, the same whatever the order of its keys. */
export function valueText(value: unknown): string {
  return JSON.stringify(plain(value)) ?? 'undefined'
}
