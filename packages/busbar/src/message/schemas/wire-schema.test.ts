import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { definitionOf, event } from '../contract.ts'
import { DomainEvent } from '../domain-event.ts'
import { typed } from '../schema.ts'
import { sameSchema } from './canonical.ts'
import { compareSchemas } from './compare.ts'
import type { Keywords } from './json-schema.ts'
import { type WireSchema, wireSchemaOf } from './wire-schema.ts'

/** Properties of the JSON Schema. */
function properties(wire: WireSchema): Keywords {
  if ('reason' in wire) throw new Error(wire.reason)
  return (wire.schema as Keywords)['properties'] as Keywords
}

const sameInEach = [
  ['zod', z.object({ id: z.string().min(1), at: z.date(), note: z.string().nullable().optional() })],
  ['arktype', type({ id: 'string >= 1', at: 'Date', 'note?': 'string | null' })],
  [
    'valibot',
    toStandardJsonSchema(
      v.object({
        id: v.pipe(v.string(), v.minLength(1)),
        at: v.date(),
        note: v.optional(v.nullable(v.string())),
      }),
    ),
  ],
] as const

test.each(sameInEach)('%s: says what travels, with dates as texts', (_library, schema) => {
  const wire = wireSchemaOf(schema)
  expect(properties(wire)).toMatchObject({
    id: { type: 'string', minLength: 1 },
    at: { type: 'string', format: 'date-time' },
  })
  expect(wire).toMatchObject({ schema: { required: ['id', 'at'].map(() => expect.any(String)) } })
})

test.each(sameInEach)('%s: the same declared in the other libraries reads it, both ways', (_library, schema) => {
  const mine = wireSchemaOf(schema)
  for (const [, other] of sameInEach) {
    const theirs = wireSchemaOf(other)
    if ('reason' in mine || 'reason' in theirs) throw new Error('no schema')
    const found = compareSchemas(theirs.schema, mine.schema, { older: 1, newer: 2, direction: 'backward' })
    expect([...found.breaks, ...found.unknown]).toEqual([])
  }
})

test('what is sent is the input of the schema, so a transform is described by what it takes', () => {
  const wire = wireSchemaOf(z.object({ at: z.string().transform((text) => new Date(text)), n: z.number().default(0) }))
  expect(wire).toMatchObject({ schema: { properties: { at: { type: 'string' } }, required: ['at'] } })
})

describe('what JSON Schema has no words for is marked, never "anything"', () => {
  test.each([
    ['zod', z.object({ a: z.map(z.string(), z.string()), b: z.bigint() })],
    ['arktype', type({ a: type.instanceOf(Map), b: 'bigint' })],
    ['valibot', toStandardJsonSchema(v.object({ a: v.map(v.string(), v.string()), b: v.bigint() }))],
  ] as const)('%s', (_library, schema) => {
    const { a, b } = properties(wireSchemaOf(schema))
    expect(a).toEqual({ 'x-unrepresentable': expect.any(String) })
    expect(b).toEqual({ 'x-unrepresentable': expect.any(String) })
  })

  test('while what is declared as anything is', () => {
    expect(properties(wireSchemaOf(z.object({ a: z.any(), b: z.unknown() })))).toEqual({ a: {}, b: {} })
    expect(properties(wireSchemaOf(type({ a: 'unknown' })))).toEqual({ a: {} })
  })
})

test.each([
  ['zod', z.object({ a: z.union([z.string(), z.undefined()]) })],
  ['arktype', type({ 'a?': 'string | undefined' })],
  ['valibot', toStandardJsonSchema(v.object({ a: v.union([v.string(), v.undefined()]) }))],
] as const)('%s: undefined does not travel', (_library, schema) => {
  const wire = wireSchemaOf(schema)
  if ('reason' in wire) throw new Error(wire.reason)
  const reader = { type: 'object', properties: { a: { type: 'string' } } }
  const found = compareSchemas(reader, wire.schema, { older: 1, newer: 2, direction: 'backward' })
  expect([...found.breaks, ...found.unknown]).toEqual([])
})

test('a schema that contains itself is said by reference, the same in every process', () => {
  const tree = () => type({ name: 'string', 'kid?': 'this' })
  const [one, other] = [wireSchemaOf(tree()), wireSchemaOf(tree())]
  if ('reason' in one || 'reason' in other) throw new Error('no schema')
  expect(sameSchema(one.schema, other.schema)).toBe(true)
})

test('a contract without JSON Schema says why', () => {
  expect(definitionOf(event('A', typed<string>())).jsonSchema()).toEqual({ reason: 'it declares only a type' })
  expect(definitionOf(event('B', v.object({}))).jsonSchema()).toEqual({
    reason: expect.stringContaining('wrap it in toStandardJsonSchema of @valibot/to-json-schema'),
  })
})

test('a library that cannot say it gives its reason, and stops nothing', () => {
  const jsonSchema = {
    input: () => {
      throw new Error('not that one')
    },
    output: () => ({}),
  }
  const { validate } = z.string()['~standard']
  const schema = { '~standard': { version: 1 as const, vendor: 'own', validate, jsonSchema } }
  expect(wireSchemaOf(schema)).toEqual({ reason: expect.stringContaining('not that one') })
})

test('a contract and an event class can declare it themselves', () => {
  const jsonSchema = { type: 'object', properties: { a: { type: 'string' } } }
  class Placed extends DomainEvent<{ a?: string }> {
    static readonly type = 'Placed'
    static readonly jsonSchema = jsonSchema
  }
  expect(definitionOf(Placed).jsonSchema()).toEqual({ schema: jsonSchema })
  expect(definitionOf(event('A', typed<{ a?: string }>(), { jsonSchema })).jsonSchema()).toEqual({ schema: jsonSchema })
  expect(definitionOf(event('B', z.object({}), { jsonSchema })).jsonSchema()).toEqual({ schema: jsonSchema })
})
