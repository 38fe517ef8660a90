import { expect, test } from 'vitest'
import { compareSchemas } from './compare.ts'
import type { Direction } from './findings.ts'
import type { JsonSchema, Keywords } from './json-schema.ts'

const object = (properties: Keywords, more: Keywords = {}): Keywords => ({ type: 'object', properties, ...more })
const text = { type: 'string' }
const integer = { type: 'integer' }
/** An event with one field, which is what the test is about. */
const field = (schema: JsonSchema): Keywords => object({ a: schema }, { required: ['a'] })

function found(older: JsonSchema, newer: JsonSchema, direction: Direction) {
  const [reader, writer] = direction === 'backward' ? [newer, older] : [older, newer]
  return compareSchemas(reader, writer, { older: 1, newer: 2, direction })
}

const unjudged: readonly (readonly [keyword: string, older: JsonSchema, newer: JsonSchema])[] = [
  ['not', field(text), field({ type: 'string', not: { const: 'a' } })],
  ['if', field({}), field({ if: text, else: { minimum: 1 } })],
  ['contains', field({ type: 'array' }), field({ type: 'array', contains: text })],
  ['dependentRequired', object({ a: text }), object({ a: text }, { dependentRequired: { a: ['b'] } })],
  ['unevaluatedProperties', object({}), object({}, { unevaluatedProperties: false })],
  ['patternProperties', object({}), object({}, { patternProperties: { '^x': text } })],
  ['pattern', field({ type: 'string', pattern: '^a' }), field({ type: 'string', pattern: '^b' })],
  ['format', field({ type: 'string', format: 'email' }), field({ type: 'string', format: 'iban' })],
  ['$ref', field(text), field({ $ref: 'https://example.com/text' })],
  ['items', field({ type: 'array', items: text }), field({ type: 'array', items: [text] })],
  ['x-unrepresentable', field(text), field({ 'x-unrepresentable': 'map' })],
  ['madeUp', field(text), field({ type: 'string', madeUp: 1 })],
]

test.each(unjudged)('a changed %s is unknown, not compatible', (keyword, older, newer) => {
  const { breaks, unknown } = found(older, newer, 'backward')
  expect(breaks).toEqual([])
  expect(unknown.map((each) => each.keyword)).toContain(keyword)
  expect(unknown[0]?.text).toContain('is unknown')
})

test.each(unjudged.filter(([keyword]) => !['$ref', 'items', 'unevaluatedProperties'].includes(keyword)))(
  'a %s that both have does not hinder judging the rest',
  (_keyword, _older, schema) => {
    const extended = {
      ...(schema as Keywords),
      properties: { ...((schema as Keywords)['properties'] as Keywords), z: text },
    }
    expect(found(schema, extended, 'backward').clean).toBe(true)
    expect(found(schema, extended, 'forward').clean).toBe(true)
  },
)

test('alternatives that nothing tells apart are unknown where none of them takes all', () => {
  const older = field({ type: 'integer', minimum: 0, maximum: 9 })
  const newer = field({
    anyOf: [
      { type: 'integer', maximum: 4 },
      { type: 'integer', minimum: 5 },
    ],
  })
  expect(found(older, newer, 'backward').unknown.map(({ keyword }) => keyword)).toEqual(['anyOf'])
  expect(found(older, newer, 'forward').breaks).toHaveLength(2)
})

test('oneOf is unknown where data may fit two alternatives', () => {
  const newer = { oneOf: [object({ a: text }), object({ b: text })] }
  expect(found(object({ a: text }), newer, 'backward').unknown.map(({ keyword }) => keyword)).toEqual(['oneOf'])
})

test('a reference in a circle ends', () => {
  const circle = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }
  expect(found(circle, object({}), 'backward').unknown).toHaveLength(1)
  expect(found(object({}), circle, 'backward').unknown.length).toBeGreaterThan(0)
})

test('all that is wrong is told, not only the first', () => {
  const { breaks } = found(
    object({ a: text, b: text }),
    object({ a: integer, b: integer }, { required: ['c'] }),
    'backward',
  )
  expect(breaks.map(({ path }) => path)).toEqual(['c', 'a', 'b'])
})
