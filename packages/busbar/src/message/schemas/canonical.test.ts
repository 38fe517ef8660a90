import { expect, test } from 'vitest'
import { sameSchema } from './canonical.ts'

test('order, descriptions and names of definitions make no other schema', () => {
  const one = {
    type: 'object',
    required: ['a', 'b'],
    properties: { a: { $ref: '#/$defs/type10' }, b: { enum: [1, 2], description: 'b' } },
    $defs: { type10: { type: ['string', 'null'] } },
  }
  const other = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $defs: { type7: { type: ['null', 'string'], title: 'x' } },
    properties: { b: { enum: [2, 1] }, a: { $ref: '#/$defs/type7' } },
    required: ['b', 'a'],
    type: 'object',
  }
  expect(sameSchema(one, other)).toBe(true)
})

test('a property that is called like an annotation counts', () => {
  const titled = { type: 'object', properties: { title: { type: 'string' }, default: { type: 'string' } } }
  expect(sameSchema(titled, { type: 'object', properties: { default: { type: 'string' } } })).toBe(false)
  expect(sameSchema(titled, { ...titled, properties: { ...titled.properties, title: { type: 'null' } } })).toBe(false)
  expect(sameSchema({ const: { title: 1 } }, { const: { title: 2 } })).toBe(false)
})

test('what a definition says counts', () => {
  const schema = (type: string) => ({ $ref: '#/$defs/a', $defs: { a: { type } } })
  expect(sameSchema(schema('string'), schema('null'))).toBe(false)
  expect(sameSchema(schema('string'), schema('string'))).toBe(true)
})

test('the order of places in a tuple counts', () => {
  const [text, none] = [{ type: 'string' }, { type: 'null' }]
  expect(sameSchema({ prefixItems: [text, none] }, { prefixItems: [none, text] })).toBe(false)
  expect(sameSchema({ const: [1, 2] }, { const: [2, 1] })).toBe(false)
})
