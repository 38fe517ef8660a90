/**
 * What data of a schema may look like, taken apart: one shape for each alternative and each type. A shape has no
 * references, unions or allOf left at its top. Where two parts cannot be merged exactly a shape is wider than the
 * schema, never narrower: what reads every shape reads all the data.
 */
import { textOf, valueText } from './canonical.ts'
import { isKeywords, isNever, isSchema, type JsonSchema, type Keywords, resolve } from './json-schema.ts'

export type TypeName = 'null' | 'boolean' | 'integer' | 'number' | 'string' | 'array' | 'object'

export const EVERY_TYPE: readonly TypeName[] = ['null', 'boolean', 'number', 'string', 'array', 'object']

export interface Shape {
  readonly keywords: Keywords
  readonly types: readonly TypeName[]
  /** All that it can be, where those are few: enum, const, booleans, null. */
  readonly values: readonly unknown[] | undefined
}

/** More alternatives than this are not told apart. */
const MAX_SHAPES = 256
const MAX_DEPTH = 32

/** Undefined: there are too many, or a reference leads nowhere or in a circle. */
export function shapesOf(schema: JsonSchema, root: JsonSchema): readonly Shape[] | undefined {
  return expand(schema, root, 0)?.flatMap(byType)
}

function expand(schema: JsonSchema, root: JsonSchema, depth: number): readonly Keywords[] | undefined {
  if (isNever(schema)) return []
  if (!isKeywords(schema)) return [{}]
  if (depth > MAX_DEPTH) return undefined
  const { $ref, allOf, anyOf, oneOf, ...own } = schema
  let shapes: readonly Keywords[] = [withEnum(own)]
  const parts: (readonly JsonSchema[])[] = []
  if ($ref !== undefined) {
    const target = resolve(root, $ref)
    if (target === undefined) return undefined
    parts.push([target])
  }
  for (const part of schemasIn(allOf)) parts.push([part])
  for (const union of [anyOf, oneOf]) if (union !== undefined) parts.push(schemasIn(union))
  for (const part of parts) {
    const expanded = part.map((each) => expand(each, root, depth + 1))
    if (expanded.includes(undefined)) return undefined
    const alternatives = expanded.flatMap((each) => each ?? [])
    if (alternatives.length * shapes.length > MAX_SHAPES) return undefined
    shapes = shapes.flatMap((shape) =>
      alternatives.map((each) => merge(shape, each)).filter((each) => each !== undefined),
    )
  }
  return shapes
}

export function schemasIn(value: unknown): readonly JsonSchema[] {
  return Array.isArray(value) ? value.filter(isSchema) : []
}

function withEnum({ const: only, ...rest }: Keywords): Keywords {
  return only === undefined ? rest : (merge(rest, { enum: [only] }) ?? { enum: [] })
}

const LARGER_WINS: ReadonlySet<string> = new Set([
  'minimum',
  'exclusiveMinimum',
  'minLength',
  'minItems',
  'minProperties',
])
const SMALLER_WINS: ReadonlySet<string> = new Set([
  'maximum',
  'exclusiveMaximum',
  'maxLength',
  'maxItems',
  'maxProperties',
])

/** What fits both. Undefined: nothing does. */
function merge(one: Keywords, other: Keywords): Keywords | undefined {
  const merged: Record<string, unknown> = { ...one }
  for (const [keyword, value] of Object.entries(other)) {
    const had = merged[keyword]
    merged[keyword] = had === undefined ? value : both(keyword, had, value)
  }
  const empty = (list: unknown): boolean => Array.isArray(list) && list.length === 0
  return empty(merged['enum']) || empty(merged['type']) ? undefined : merged
}

function both(keyword: string, one: unknown, other: unknown): unknown {
  if (LARGER_WINS.has(keyword)) return Math.max(Number(one), Number(other))
  if (SMALLER_WINS.has(keyword)) return Math.min(Number(one), Number(other))
  if (keyword === 'required') return [...new Set([...strings(one), ...strings(other)])]
  if (keyword === 'type') return commonTypes(typeList(one), typeList(other))
  if (keyword === 'enum') return listed(one).filter((value) => includes(listed(other), value))
  if (keyword === 'properties') return mergedProperties(one, other)
  if (keyword === 'items' || keyword === 'additionalProperties' || keyword === 'propertyNames') {
    return textOf(one) === textOf(other) ? one : { allOf: [one, other] }
  }
  return one
}

function mergedProperties(one: unknown, other: unknown): unknown {
  const merged: Record<string, unknown> = { ...(one as Keywords) }
  for (const [name, schema] of Object.entries(other as Keywords)) {
    const had = Object.hasOwn(merged, name) ? merged[name] : undefined
    merged[name] = had === undefined || textOf(had) === textOf(schema) ? schema : { allOf: [had, schema] }
  }
  return merged
}

function byType(keywords: Keywords): readonly Shape[] {
  const { enum: values, type } = keywords
  const declared = type === undefined ? EVERY_TYPE : typeList(type)
  if (values !== undefined) {
    const present = listed(values).filter((value) => declared.some((name) => isWithin(typeOf(value), name)))
    const types = [...new Set(present.map((value) => typeOf(value)))]
    return types.map((name) => ({
      keywords,
      types: [name],
      values: present.filter((value) => typeOf(value) === name),
    }))
  }
  if (type === undefined) return [{ keywords, types: EVERY_TYPE, values: undefined }]
  return declared.map((name) => ({
    keywords,
    types: [name === 'number' && Number.isInteger(keywords['multipleOf']) ? 'integer' : name],
    values: name === 'null' ? [null] : name === 'boolean' ? [true, false] : undefined,
  }))
}

function typeList(type: unknown): readonly TypeName[] {
  return (Array.isArray(type) ? type : [type]) as readonly TypeName[]
}

function commonTypes(one: readonly TypeName[], other: readonly TypeName[]): readonly TypeName[] {
  const narrower = one.filter((name) => other.some((each) => isWithin(name, each)))
  return [...new Set([...narrower, ...other.filter((name) => one.some((each) => isWithin(name, each)))])]
}

export function isWithin(name: TypeName, other: TypeName): boolean {
  return name === other || (name === 'integer' && other === 'number')
}

export function typeOf(value: unknown): TypeName {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value as TypeName
}

export function includes(values: readonly unknown[], value: unknown): boolean {
  const text = valueText(value)
  return values.some((each) => valueText(each) === text)
}

export function strings(value: unknown): readonly string[] {
  return listed(value).filter((each) => typeof each === 'string')
}

function listed(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
