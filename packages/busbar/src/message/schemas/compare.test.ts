import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { compareSchemas } from './compare.ts'
import type { Direction } from './findings.ts'
import type { JsonSchema, Keywords } from './json-schema.ts'

/** An edit of a schema, what it breaks, and data that proves it: the writer's schema takes it, the reader's does not. */
interface Rule {
  readonly edit: string
  readonly older: JsonSchema
  readonly newer: JsonSchema
  readonly backward?: readonly [text: string, proof: unknown]
  readonly forward?: readonly [text: string, proof: unknown]
}

const object = (properties: Keywords, more: Keywords = {}): Keywords => ({ type: 'object', properties, ...more })
const text = { type: 'string' }
const integer = { type: 'integer' }
/** An event with one field, which is what the rule is about. */
const field = (schema: JsonSchema): Keywords => object({ a: schema }, { required: ['a'] })
const variants = (keyword: string, ...extra: Keywords[]): Keywords => ({
  [keyword]: [
    object({ kind: { const: 'card' }, pan: text }, { required: ['kind', 'pan'] }),
    object({ kind: { const: 'cash' } }, { required: ['kind'] }),
    ...extra,
  ],
})

const rules: readonly Rule[] = [
  { edit: 'an optional property is added', older: object({}), newer: object({ a: text }) },
  { edit: 'an optional property is removed', older: object({ a: text }), newer: object({}) },
  {
    edit: 'a required property is added',
    older: object({ b: text }),
    newer: object({ a: text, b: text }, { required: ['a'] }),
    backward: ['a: was added as required; data of version 1 lacks it', {}],
  },
  {
    edit: 'a required property is removed',
    older: object({ a: text }, { required: ['a'] }),
    newer: object({}),
    forward: ['a: was removed; data of version 2 lacks it, which version 1 refuses', {}],
  },
  {
    edit: 'a nested property becomes required',
    older: object({ customer: object({ email: text }) }),
    newer: object({ customer: object({ email: text }, { required: ['email'] }) }),
    backward: ['customer.email: became required; data of version 1 may lack it', { customer: {} }],
  },
  {
    edit: 'a property becomes optional',
    older: object({ a: text }, { required: ['a'] }),
    newer: object({ a: text }),
    forward: ['a: became optional; data of version 2 may lack it, which version 1 refuses', {}],
  },
  {
    edit: 'a property is added to a closed object',
    older: object({}, { additionalProperties: false }),
    newer: object({ a: text }, { additionalProperties: false }),
    forward: [
      'a: was added; data of version 2 may hold it, and version 1 allows no other properties, which version 1 refuses',
      { a: '' },
    ],
  },
  {
    edit: 'a property is removed from a closed object',
    older: object({ a: text }, { additionalProperties: false }),
    newer: object({}, { additionalProperties: false }),
    backward: ['a: was removed; data of version 1 may hold it, and version 2 allows no other properties', { a: '' }],
  },
  {
    edit: 'an object that holds others is closed',
    older: object({}, { additionalProperties: true }),
    newer: object({}, { additionalProperties: false }),
    backward: ['*: other properties are no longer allowed; data of version 1 may hold others', { x: 1 }],
  },
  {
    edit: 'a property is declared where others were written',
    older: object({}, { additionalProperties: integer }),
    newer: object({ a: text }, { additionalProperties: integer }),
    backward: ['a: type integer → string; data of version 1 may hold an integer', { a: 1 }],
    forward: ['a: type integer → string; data of version 2 may hold a string, which version 1 refuses', { a: '' }],
  },
  {
    edit: 'the values of a record change their type',
    older: object({ totals: { type: 'object', additionalProperties: integer } }),
    newer: object({ totals: { type: 'object', additionalProperties: { type: 'number' } } }),
    forward: [
      'totals.*: type integer → number; data of version 2 may hold a number, which version 1 refuses',
      { totals: { a: 1.5 } },
    ],
  },
  {
    edit: 'the names of a record are limited',
    older: object({}, { additionalProperties: integer }),
    newer: object({}, { additionalProperties: integer, propertyNames: { enum: ['a'] } }),
    backward: ['* (name): became limited to "a"; data of version 1 may hold something else', { b: 1 }],
  },
  {
    edit: 'more properties are demanded',
    older: object({ a: text, b: text }),
    newer: object({ a: text, b: text }, { minProperties: 1 }),
    backward: ['data: minProperties none → 1; data of version 1 may hold fewer', {}],
  },
  {
    edit: 'fewer properties are taken',
    older: object({ a: text, b: text }),
    newer: object({ a: text, b: text }, { maxProperties: 1 }),
    backward: ['data: maxProperties none → 1; data of version 1 may hold more', { a: '', b: '' }],
  },
  {
    edit: 'a type is changed',
    older: field(text),
    newer: field({ type: 'number' }),
    backward: ['a: type string → number; data of version 1 may hold a string', { a: '' }],
    forward: ['a: type string → number; data of version 2 may hold a number, which version 1 refuses', { a: 1 }],
  },
  {
    edit: 'integers become numbers',
    older: field(integer),
    newer: field({ type: 'number' }),
    forward: ['a: type integer → number; data of version 2 may hold a number, which version 1 refuses', { a: 0.5 }],
  },
  {
    edit: 'null is allowed by a list of types',
    older: field(text),
    newer: field({ type: ['string', 'null'] }),
    forward: ['a: type string → null; data of version 2 may hold null, which version 1 refuses', { a: null }],
  },
  {
    edit: 'null is allowed by an alternative',
    older: field(text),
    newer: field({ anyOf: [text, { type: 'null' }] }),
    forward: ['a: type string → null; data of version 2 may hold null, which version 1 refuses', { a: null }],
  },
  {
    edit: 'anything becomes a string',
    older: field({}),
    newer: field(text),
    backward: ['a: type any → string; data of version 1 may hold anything', { a: 1 }],
  },
  {
    edit: 'both ways to write null are the same',
    older: field({ type: ['string', 'null'] }),
    newer: field({ anyOf: [text, { type: 'null' }] }),
  },
  {
    edit: 'a value is taken from an enum',
    older: field({ enum: ['a', 'b'] }),
    newer: field({ enum: ['a'] }),
    backward: ['a: no longer allows "b"; data of version 1 may hold "b"', { a: 'b' }],
  },
  {
    edit: 'a value is added to an enum',
    older: field({ enum: ['a'] }),
    newer: field({ enum: ['a', 'b'] }),
    forward: ['a: allows "b" now; data of version 2 may hold "b", which version 1 refuses', { a: 'b' }],
  },
  {
    edit: 'a string becomes an enum',
    older: field(text),
    newer: field({ enum: ['a'] }),
    backward: ['a: became limited to "a"; data of version 1 may hold something else', { a: 'b' }],
  },
  {
    edit: 'a boolean becomes a constant',
    older: field({ type: 'boolean' }),
    newer: field({ const: true }),
    backward: ['a: became limited to true; data of version 1 may hold false', { a: false }],
  },
  {
    edit: 'a constant changes',
    older: field({ const: 1 }),
    newer: field({ const: 2 }),
    backward: ['a: no longer allows 1; data of version 1 may hold 1', { a: 1 }],
    forward: ['a: allows 2 now; data of version 2 may hold 2, which version 1 refuses', { a: 2 }],
  },
  {
    edit: 'an enum becomes a string of some length',
    older: field({ enum: ['a', 'bb'] }),
    newer: field({ type: 'string', minLength: 2 }),
    backward: ['a: minLength none → 2; data of version 1 may hold "a"', { a: 'a' }],
    forward: [
      'a: is no longer limited to "a", "bb"; data of version 2 may hold something else, which version 1 refuses',
      { a: 'ccc' },
    ],
  },
  {
    edit: 'strings have to be longer',
    older: field({ type: 'string', minLength: 1 }),
    newer: field({ type: 'string', minLength: 3 }),
    backward: ['a: minLength 1 → 3; data of version 1 may be shorter', { a: 'a' }],
  },
  {
    edit: 'strings have to be shorter',
    older: field(text),
    newer: field({ type: 'string', maxLength: 3 }),
    backward: ['a: maxLength none → 3; data of version 1 may be longer', { a: 'abcd' }],
  },
  {
    edit: 'a pattern is added',
    older: field(text),
    newer: field({ type: 'string', pattern: '^a' }),
    backward: ['a: pattern none → ^a; data of version 1 may not match', { a: 'b' }],
  },
  {
    edit: 'a format is added',
    older: field(text),
    newer: field({ type: 'string', format: 'email' }),
    backward: ['a: format none → email; data of version 1 may be of another format', { a: 'b' }],
  },
  {
    edit: 'a format is widened',
    older: field({ type: 'string', format: 'uri' }),
    newer: field({ type: 'string', format: 'uri-reference' }),
    forward: [
      'a: format uri → uri-reference; data of version 2 may be of another format, which version 1 refuses',
      { a: '/x' },
    ],
  },
  {
    edit: 'numbers have a higher minimum',
    older: field({ type: 'number', minimum: 0 }),
    newer: field({ type: 'number', exclusiveMinimum: 0 }),
    backward: ['a: exclusiveMinimum none → 0; data of version 1 may be less or equal', { a: 0 }],
  },
  {
    edit: 'numbers have a lower maximum',
    older: field({ type: 'number', maximum: 10 }),
    newer: field({ type: 'number', maximum: 5 }),
    backward: ['a: maximum 10 → 5; data of version 1 may be more', { a: 6 }],
  },
  {
    edit: 'a maximum is left out itself',
    older: field({ type: 'number', maximum: 5 }),
    newer: field({ type: 'number', exclusiveMaximum: 5 }),
    backward: ['a: exclusiveMaximum none → 5; data of version 1 may be more or equal', { a: 5 }],
  },
  {
    edit: 'whole numbers say the same limit otherwise',
    older: field({ type: 'integer', minimum: 1, maximum: 4 }),
    newer: field({ type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 5 }),
  },
  {
    edit: 'only multiples are taken',
    older: field({ type: 'integer', multipleOf: 10 }),
    newer: field({ type: 'integer', multipleOf: 5 }),
    forward: ['a: multipleOf 10 → 5; data of version 2 may be another number, which version 1 refuses', { a: 5 }],
  },
  {
    edit: 'items change their type',
    older: object({ lines: { type: 'array', items: object({ price: text }) } }),
    newer: object({ lines: { type: 'array', items: object({ price: integer }) } }),
    backward: ['lines[].price: type string → integer; data of version 1 may hold a string', { lines: [{ price: '' }] }],
    forward: [
      'lines[].price: type string → integer; data of version 2 may hold an integer, which version 1 refuses',
      { lines: [{ price: 1 }] },
    ],
  },
  {
    edit: 'a list needs an item',
    older: field({ type: 'array', items: text }),
    newer: field({ type: 'array', items: text, minItems: 1 }),
    backward: ['a: minItems none → 1; data of version 1 may have fewer items', { a: [] }],
  },
  {
    edit: 'a list may have fewer items',
    older: field({ type: 'array', items: text }),
    newer: field({ type: 'array', items: text, maxItems: 1 }),
    backward: ['a: maxItems none → 1; data of version 1 may have more items', { a: ['', ''] }],
  },
  {
    edit: 'items have to be unique',
    older: field({ type: 'array', items: text }),
    newer: field({ type: 'array', items: text, uniqueItems: true }),
    backward: ['a: uniqueItems false → true; data of version 1 may repeat an item', { a: ['', ''] }],
  },
  {
    edit: 'one place of a tuple changes its type',
    older: field({ type: 'array', prefixItems: [text, text], items: false, minItems: 2 }),
    newer: field({ type: 'array', prefixItems: [text, integer], items: false, minItems: 2 }),
    backward: ['a[1]: type string → integer; data of version 1 may hold a string', { a: ['', ''] }],
    forward: [
      'a[1]: type string → integer; data of version 2 may hold an integer, which version 1 refuses',
      { a: ['', 1] },
    ],
  },
  {
    edit: 'a tuple gets a further place',
    older: field({ type: 'array', prefixItems: [text], items: false }),
    newer: field({ type: 'array', prefixItems: [text, text], items: false }),
    forward: ['a[1]: is allowed now; data of version 2 may hold a string, which version 1 refuses', { a: ['', ''] }],
  },
  ...['anyOf', 'oneOf'].flatMap((keyword): Rule[] => [
    {
      edit: `a variant is added (${keyword})`,
      older: variants(keyword),
      newer: variants(keyword, object({ kind: { const: 'gift' } }, { required: ['kind'] })),
      forward: [
        'data: an alternative was added; data of version 2 may be kind "gift", which version 1 refuses',
        { kind: 'gift' },
      ],
    },
    {
      edit: `a variant is removed (${keyword})`,
      older: variants(keyword, object({ kind: { const: 'gift' } }, { required: ['kind'] })),
      newer: variants(keyword),
      backward: ['data: the alternative for it is gone; data of version 1 may be kind "gift"', { kind: 'gift' }],
    },
    {
      edit: `one variant is changed (${keyword})`,
      older: variants(keyword),
      newer: {
        [keyword]: [
          object({ kind: { const: 'card' }, pan: integer }, { required: ['kind', 'pan'] }),
          object({ kind: { const: 'cash' } }, { required: ['kind'] }),
        ],
      },
      backward: ['pan: type string → integer; data of version 1 may hold a string', { kind: 'card', pan: '' }],
      forward: [
        'pan: type string → integer; data of version 2 may hold an integer, which version 1 refuses',
        { kind: 'card', pan: 1 },
      ],
    },
  ]),
  {
    edit: 'all of several parts have to fit',
    older: { allOf: [object({ a: text }), object({ b: text }, { required: ['b'] })] },
    newer: { allOf: [object({ a: text }, { required: ['a'] }), object({ b: text })] },
    backward: ['a: became required; data of version 1 may lack it', { b: '' }],
    forward: ['b: became optional; data of version 2 may lack it, which version 1 refuses', { a: '' }],
  },
  {
    edit: 'parts are put together',
    older: { allOf: [object({ a: text }), object({ b: text }, { required: ['b'] })] },
    newer: object({ a: text, b: text }, { required: ['b'] }),
  },
  {
    edit: 'a definition is moved and changed',
    older: { ...object({ a: { $ref: '#/$defs/One' } }), $defs: { One: object({ x: text }) } },
    newer: {
      ...object({ a: { $ref: '#/definitions/Other' } }),
      definitions: { Other: object({ x: text }, { required: ['x'] }) },
    },
    backward: ['a.x: became required; data of version 1 may lack it', { a: {} }],
  },
  {
    edit: 'a schema that contains itself changes',
    older: object({ name: text, kids: { type: 'array', items: { $ref: '#' } } }),
    newer: object({ name: integer, kids: { type: 'array', items: { $ref: '#' } } }),
    backward: ['name: type string → integer; data of version 1 may hold a string', { name: '' }],
    forward: [
      'name: type string → integer; data of version 2 may hold an integer, which version 1 refuses',
      { name: 1 },
    ],
  },
  {
    edit: 'a property may not be there any more',
    older: object({ a: text }),
    newer: object({ a: false }),
    backward: ['a: is no longer allowed; data of version 1 may hold a string', { a: '' }],
  },
  { edit: 'descriptions change', older: field({ ...text, description: 'a' }), newer: field({ ...text, title: 'b' }) },
]

const ajv = new Ajv2020({ strict: false, validateFormats: true })
ajv.addFormat('email', /@/)
ajv.addFormat('uri', /^\w+:/)
ajv.addFormat('uri-reference', true)

function found(older: JsonSchema, newer: JsonSchema, direction: Direction) {
  const [reader, writer] = direction === 'backward' ? [newer, older] : [older, newer]
  return compareSchemas(reader, writer, { older: 1, newer: 2, direction })
}

describe.each(['backward', 'forward'] as const)('%s', (direction) => {
  test.each(rules)('$edit', ({ older, newer, [direction]: expected }) => {
    const { breaks, unknown } = found(older, newer, direction)
    expect(unknown).toEqual([])
    expect(breaks.map((each) => each.text)).toEqual(expected === undefined ? [] : [expected[0]])
    for (const each of breaks) expect(each).toMatchObject({ breaks: direction, older: 1, newer: 2 })
    if (expected === undefined) return
    const [reader, writer] = direction === 'backward' ? [newer, older] : [older, newer]
    expect(ajv.validate(writer, expected[1]), 'the writer may write the proof').toBe(true)
    expect(ajv.validate(reader, expected[1]), 'the reader refuses the proof').toBe(false)
  })

  test('every rule edited back breaks the other direction', () => {
    const other = direction === 'backward' ? 'forward' : 'backward'
    for (const { edit, older, newer } of rules) {
      const there = found(older, newer, direction).breaks.map(({ path }) => path)
      expect(
        found(newer, older, other).breaks.map(({ path }) => path),
        edit,
      ).toEqual(there)
    }
  })
})
