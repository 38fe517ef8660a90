/**
 * Whether one schema reads all that another one writes.
 *
 * Judged: type, enum, const, properties, required, additionalProperties, propertyNames, min/maxProperties, items,
 * prefixItems, min/maxItems, uniqueItems, min/maxLength, pattern, format, minimum, maximum and their exclusive forms,
 * multipleOf, anyOf, oneOf, allOf, and `$ref` inside the document. Any other keyword of the reader is unknown, unless
 * the writer has exactly the same one.
 *
 * One assumption, which makes it possible to add and remove optional properties at all: whoever writes by a schema
 * writes the properties that it declares, and others only where `additionalProperties` says so (a schema, or `true`).
 * A reader is what its schema says: open, unless `additionalProperties` is false.
 */
import { checkArray } from './arrays.ts'
import { refers, sameSchema, textOf } from './canonical.ts'
import { Findings, type Pair } from './findings.ts'
import { ANNOTATIONS, isNever, isSchema, type JsonSchema, type Keywords, resolve } from './json-schema.ts'
import { checkObject } from './objects.ts'
import type { Reading } from './reading.ts'
import { checkScalar } from './scalars.ts'
import { EVERY_TYPE, isWithin, schemasIn, type Shape, shapesOf, type TypeName } from './shapes.ts'
import { checkAlternatives } from './unions.ts'

const MAX_DEPTH = 64

/** What keeps the reader from reading data of the writer, and what of it cannot be judged. */
export function compareSchemas(reader: JsonSchema, writer: JsonSchema, pair: Pair): Findings {
  const found = new Findings(pair)
  if (!sameSchema(reader, writer)) new Comparison(reader, writer, found, new Set()).reads(reader, writer, '')
  return found
}

class Comparison implements Reading {
  readonly found: Findings
  readonly readerRoot: JsonSchema
  readonly writerRoot: JsonSchema
  /** Pairs that are being compared further up: a schema that contains itself is compared once around. */
  readonly #open: Set<string>

  constructor(readerRoot: JsonSchema, writerRoot: JsonSchema, found: Findings, open: Set<string>) {
    this.readerRoot = readerRoot
    this.writerRoot = writerRoot
    this.found = found
    this.#open = open
  }

  trial(attempt: (reading: Reading) => void): Findings {
    const found = new Findings(this.found.pair)
    attempt(new Comparison(this.readerRoot, this.writerRoot, found, this.#open))
    return found
  }

  reads(reader: JsonSchema, writer: JsonSchema, path: string): void {
    if (isNever(writer) || (!refers(reader) && textOf(reader) === textOf(writer))) return
    const pair = `${textOf(followed(reader, this.readerRoot))} ${textOf(followed(writer, this.writerRoot))}`
    if (this.#open.has(pair)) return
    if (this.#open.size > MAX_DEPTH) return this.found.cannotJudge(path, '', 'it is nested too deep')
    const shapes = shapesOf(writer, this.writerRoot)
    if (shapes === undefined) {
      return this.found.cannotJudge(
        path,
        '$ref',
        `${this.found.writer} has too many alternatives, or a $ref that cannot be followed`,
      )
    }
    this.#open.add(pair)
    for (const shape of shapes) this.#takes(reader, shape, path, 0)
    this.#open.delete(pair)
  }

  #takes(reader: JsonSchema, shape: Shape, path: string, depth: number): void {
    const { found } = this
    if (isNever(reader)) {
      return found.break(path, found.either('is no longer allowed', 'is allowed now'), `may hold ${list(shape.types)}`)
    }
    if (typeof reader === 'boolean') return
    if (depth > MAX_DEPTH) return found.cannotJudge(path, '$ref', 'a $ref leads in a circle')
    const types = typesOf(reader, this.readerRoot)
    const refused = shape.types.filter((type) => !types.some((each) => isWithin(type, each)))
    if (refused.length > 0) {
      const data = `may hold ${list(shape.types)}`
      return found.break(path, found.change('type', typeText(types), typeText(shape.types)), data)
    }
    const { $ref, allOf, anyOf, oneOf, ...own } = reader
    if ($ref !== undefined) {
      const target = resolve(this.readerRoot, $ref)
      if (target === undefined) found.cannotJudge(path, '$ref', `$ref ${JSON.stringify($ref)} cannot be followed`)
      else this.#takes(target, shape, path, depth + 1)
    }
    for (const part of schemasIn(allOf)) this.#takes(part, shape, path, depth + 1)
    const take = (branch: JsonSchema) => (reading: Reading) =>
      (reading as Comparison).#takes(branch, shape, path, depth + 1)
    if (anyOf !== undefined) checkAlternatives(this, schemasIn(anyOf), shape, path, 'anyOf', take)
    if (oneOf !== undefined) checkAlternatives(this, schemasIn(oneOf), shape, path, 'oneOf', take)
    this.#checkOwn(own, shape, path)
  }

  #checkOwn(reader: Keywords, shape: Shape, path: string): void {
    for (const keyword of Object.keys(reader)) {
      if (ANNOTATIONS.has(keyword) || keyword === 'type') continue
      if (this.#isSame(keyword, reader, shape.keywords)) continue
      if (checkScalar(this, keyword, reader, shape, path)) continue
      if (OBJECTS.has(keyword) || ARRAYS.has(keyword)) continue
      this.found.cannotJudge(path, keyword, `'${keyword}' cannot be judged`)
    }
    if (shape.types.includes('object')) checkObject(this, reader, shape, path)
    if (shape.types.includes('array')) checkArray(this, reader, shape, path)
  }

  /** The same keyword, which means the same in both: what the writer keeps to, the reader takes. */
  #isSame(keyword: string, reader: Keywords, writer: Keywords): boolean {
    if (keyword === 'unevaluatedProperties' || keyword === 'unevaluatedItems') return false
    const all = keyword === 'then' || keyword === 'else' ? ['if', keyword] : [keyword]
    return all.every((each) => !refers(reader[each]) && textOf(reader[each]) === textOf(writer[each]))
  }
}

const OBJECTS: ReadonlySet<string> = new Set([
  'properties',
  'required',
  'additionalProperties',
  'patternProperties',
  'propertyNames',
  'minProperties',
  'maxProperties',
])
const ARRAYS: ReadonlySet<string> = new Set(['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'])

/** What a schema that is only a reference refers to: the same place under its other name. */
function followed(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const keywords = typeof schema === 'object' ? Object.keys(schema) : []
  if (typeof schema === 'boolean' || keywords.length !== 1 || keywords[0] !== '$ref') return schema
  return resolve(root, schema['$ref']) ?? schema
}

/** Every type that it takes, as far as can be told. */
function typesOf(schema: JsonSchema, root: JsonSchema): readonly TypeName[] {
  const shapes = isSchema(schema) ? shapesOf(schema, root) : undefined
  return shapes === undefined ? EVERY_TYPE : [...new Set(shapes.flatMap((shape) => shape.types))]
}

function typeText(types: readonly TypeName[]): string {
  return EVERY_TYPE.every((type) => types.includes(type)) ? 'any' : types.join(' | ')
}

const ARTICLES: Readonly<Record<TypeName, string>> = {
  null: 'null',
  boolean: 'a boolean',
  integer: 'an integer',
  number: 'a number',
  string: 'a string',
  array: 'an array',
  object: 'an object',
}

function list(types: readonly TypeName[]): string {
  return typeText(types) === 'any' ? 'anything' : types.map((type) => ARTICLES[type]).join(' or ')
}
