import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareSchemas } from './compare.ts'
import { checkCompatibility, type CompatibilityLevel } from './compatibility.ts'
import type { JsonSchema, Keywords } from './json-schema.ts'

const LEVELS: readonly CompatibilityLevel[] = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
]
const NAMES = ['a', 'b', 'c']
const range = (low: string, high: string, most: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: most }), fc.integer({ min: 0, max: most }), fc.integer({ min: 0, max: 3 }))
    .map(([one, other, which]): Keywords => ({
      ...(which & 1 ? { [low]: Math.min(one, other) } : {}),
      ...(which & 2 ? { [high]: Math.max(one, other) } : {}),
    }))

const { schema: schemas } = fc.letrec<{ schema: Keywords; leaf: Keywords }>((tie) => ({
  leaf: fc.oneof(
    range('minLength', 'maxLength', 3).map((limits) => ({ type: 'string', ...limits })),
    range('minimum', 'maximum', 5).map((limits) => ({ type: 'integer', ...limits })),
    range('minimum', 'exclusiveMaximum', 5)
      .filter((limits) => limits['minimum'] !== limits['exclusiveMaximum'] || limits['minimum'] === undefined)
      .map((limits) => ({ type: 'number', ...limits })),
    fc.constantFrom<Keywords>({ type: 'boolean' }, { type: 'null' }, {}, { const: 1 }),
    fc.subarray(['a', 'b', 1, null], { minLength: 1 }).map((values) => ({ enum: values })),
  ),
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc
      .tuple(
        fc.dictionary(fc.constantFrom(...NAMES), tie('schema'), { maxKeys: 3 }),
        fc.subarray(NAMES),
        fc.oneof(fc.constant<JsonSchema>(false), fc.constant<JsonSchema | undefined>(undefined), tie('leaf')),
      )
      .map(([properties, required, rest]): Keywords => ({
        type: 'object',
        properties: { ...properties },
        required: required.filter((name) => Object.hasOwn(properties, name)),
        ...(rest === undefined ? {} : { additionalProperties: rest }),
      })),
    fc
      .tuple(tie('schema'), range('minItems', 'maxItems', 2))
      .map(([items, limits]): Keywords => ({ type: 'array', items, ...limits })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf): Keywords => ({ anyOf })),
    fc.tuple(tie('leaf'), tie('leaf')).map(([items, other]): Keywords => ({
      type: 'array',
      prefixItems: [items, other],
      items: false,
    })),
  ),
}))

/** Data that someone who goes by the schema may write: what it declares, and others where it says so. */
function dataOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (typeof schema === 'boolean') return fc.constantFrom<unknown>('any', 7, null, {}, [])
  const { type, anyOf, properties = {}, required = [], items, prefixItems, additionalProperties } = schema
  const limit = (name: string, otherwise: number): number => Number(schema[name] ?? otherwise)
  if (schema['enum'] !== undefined) return fc.constantFrom(...(schema['enum'] as unknown[]))
  if (schema['const'] !== undefined) return fc.constant(schema['const'])
  if (anyOf !== undefined) return fc.oneof(...(anyOf as JsonSchema[]).map(dataOf))
  if (type === 'string') {
    const minLength = limit('minLength', 0)
    return fc.string({ minLength, maxLength: limit('maxLength', minLength + 4), unit: fc.constantFrom('a', 'b') })
  }
  if (type === 'integer') return fc.integer({ min: limit('minimum', -2), max: limit('maximum', 8) })
  if (type === 'number') {
    const min = limit('minimum', -2)
    const max = limit('exclusiveMaximum', 8)
    return fc.oneof(fc.constant(min), fc.double({ min, max, maxExcluded: true, noNaN: true, noDefaultInfinity: true }))
  }
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  if (type === 'array' && Array.isArray(prefixItems)) {
    const whole = fc.tuple(...(prefixItems as JsonSchema[]).map(dataOf))
    return fc.tuple(whole, fc.nat({ max: prefixItems.length })).map(([list, length]) => list.slice(0, length))
  }
  if (type === 'array') {
    const minLength = limit('minItems', 0)
    return fc.array(dataOf(items as JsonSchema), { minLength, maxLength: limit('maxItems', minLength + 2) })
  }
  if (type !== 'object') return dataOf(true)
  const declared = Object.entries(properties as Keywords).map(
    ([name, each]) => [name, dataOf(each as JsonSchema)] as const,
  )
  const own = fc.record(Object.fromEntries(declared), { requiredKeys: required as string[], noNullPrototype: true })
  if (typeof additionalProperties !== 'object') return own
  const others = fc.dictionary(fc.constantFrom(...NAMES, 'x'), dataOf(additionalProperties as JsonSchema))
  return fc.tuple(others, own).map(([more, data]) => {
    const undeclared = Object.entries(more).filter(([name]) => !Object.hasOwn(properties as Keywords, name))
    return { ...Object.fromEntries(undeclared), ...data }
  })
}

/** The schema with one place of it replaced: `steps` chooses the place. */
function edited(schema: Keywords, replacement: Keywords, steps: readonly number[]): Keywords {
  const [step = 0, ...rest] = steps
  const { properties, items, anyOf, required } = schema as { [name: string]: never }
  const below = (value: Keywords): Keywords => edited(value, replacement, rest)
  if (step === 0 || steps.length === 0) return replacement
  if (properties !== undefined) {
    const name = NAMES[step % NAMES.length] as string
    const had = (properties as Keywords)[name] as Keywords | undefined
    if (step % 5 === 1) return { ...schema, required: Object.keys(properties) }
    if (step % 5 === 2) return { ...schema, required: [] }
    if (step % 5 === 3) {
      const { [name]: _, ...others } = properties as Keywords
      return { ...schema, properties: others, required: ((required ?? []) as string[]).filter((each) => each !== name) }
    }
    return {
      ...schema,
      properties: { ...(properties as Keywords), [name]: had === undefined ? replacement : below(had) },
    }
  }
  if (items !== undefined && typeof items === 'object') return { ...schema, items: below(items) }
  if (anyOf !== undefined) {
    const list = anyOf as Keywords[]
    return step % 2 === 0
      ? { anyOf: [...list, replacement] }
      : { anyOf: [below(list[0] as Keywords), ...list.slice(1)] }
  }
  const { minimum: _min, maximum: _max, minLength: _minLength, maxLength: _maxLength, ...open } = schema
  return open
}

const edits = fc
  .tuple(schemas, schemas, fc.array(fc.nat({ max: 9 }), { maxLength: 4 }))
  .map(([older, other, steps]) => ({
    older,
    newer: edited(older, other, steps),
  }))

test('a schema is compatible with itself at every level', () => {
  fc.assert(
    fc.property(schemas, fc.constantFrom(...LEVELS), (schema, level) => {
      const entry = { type: 'T', version: 2, upcastsFrom: 1, schema: { ...schema, description: 'new' } }
      const { verdict } = checkCompatibility(entry, [{ type: 'T', version: 1, upcastsFrom: 1, schema }], level)
      expect(verdict).toBe('compatible')
    }),
  )
})

test('so is one whose parts have to be compared, because they are named', () => {
  fc.assert(
    fc.property(schemas, (schema) => {
      const named = { $ref: '#/$defs/x', $defs: { x: { type: 'array', items: schema } } }
      const plain = { type: 'array', items: schema }
      for (const [reader, writer] of [
        [named, plain],
        [plain, named],
      ] as const) {
        const found = compareSchemas(reader, writer, { older: 1, newer: 2, direction: 'backward' })
        expect(found.breaks).toEqual([])
      }
    }),
  )
})

test('what is called readable is read, by a validator that knows nothing of the comparison', () => {
  const ajv = new Ajv2020({ strict: false })
  let readable = 0
  let refused = 0
  fc.assert(
    fc.property(edits, fc.boolean(), fc.integer(), ({ older, newer }, backward, seed) => {
      const [reader, writer] = backward ? [newer, older] : [older, newer]
      const direction = backward ? 'backward' : 'forward'
      const [takes, writes] = [ajv.compile(reader), ajv.compile(writer)]
      const data = fc.sample(dataOf(writer), { numRuns: 20, seed }).filter((each) => writes(each))
      if (!compareSchemas(reader, writer, { older: 1, newer: 2, direction }).clean) {
        refused++
        return
      }
      readable++
      for (const each of data) expect(takes(each), JSON.stringify(each)).toBe(true)
    }),
    { numRuns: 1_000 },
  )
  // Neither verdict is so rare that the property says nothing.
  expect(readable).toBeGreaterThan(100)
  expect(refused).toBeGreaterThan(100)
})
