import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { differences } from './differences.ts'

const paths = (before: unknown, after: unknown): readonly string[] => differences(before, after).map(({ path }) => path)

describe('differences of two values', () => {
  test('there are none between a value and its structured clone', () => {
    const values = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true })
    const same = fc.property(values, (value) => {
      expect(differences(value, structuredClone(value))).toEqual([])
    })
    fc.assert(same)
  })

  test('each is told with its path', () => {
    const before = { id: 1, items: [{ price: 2 }, { price: 3 }], 'a key': true }
    const after = { id: 1, items: [{ price: 2 }, { price: 4 }], 'a key': false }
    expect(paths(before, after)).toEqual(['items[1].price', '["a key"]'])
  })

  test.each([
    ['a Date and its text', new Date(0), new Date(0).toISOString()],
    ['two moments', new Date(0), new Date(1)],
    ['NaN and null', Number.NaN, null],
    ['a Map and an object', new Map([['a', 1]]), { a: 1 }],
    ['an instance and a plain object', new (class Money {})(), {}],
    ['a field too many', {}, { a: 1 }],
    ['a field too few', { a: 1 }, {}],
    ['an item too many', [1], [1, 2]],
    ['a BigInt and a number', 1n, 1],
    ['values of a Map', new Map([['a', 1]]), new Map([['a', 2]])],
    ['members of a Set', new Set([1]), new Set([2])],
    ['bytes', Uint8Array.of(1, 2), Uint8Array.of(1, 3)],
  ])('%s are different', (_, before, after) => {
    expect(paths({ at: before }, { at: after })).toHaveLength(1)
    expect(paths({ at: before }, { at: after })[0]).toMatch(/^at/)
  })

  test.each([
    ['an absent field and undefined', { a: undefined }, {}],
    ['0 and -0', -0, 0],
    ['a Buffer and its bytes', Buffer.from('x'), new TextEncoder().encode('x')],
    ['objects with and without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  ])('%s are not', (_, before, after) => {
    expect(differences(before, after)).toEqual([])
  })
})
