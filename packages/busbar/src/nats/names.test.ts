import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromToken, Names, token } from './names.ts'

describe('names of topics and groups', () => {
  test('any name becomes one token that NATS allows, and is read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        fc.pre(name.isWellFormed())
        expect(token(name)).toMatch(/^[A-Za-z0-9_=-]+$/)
        expect(fromToken(token(name))).toBe(name)
      }),
    )
  })

  test('different names are different tokens, also where one looks like the other written out', () => {
    const names = ['a.b', 'a=2Eb', 'a_b', '', '=', '*', '>', 'a b', 'ä']
    expect(new Set(names.map(token)).size).toBe(names.length)
  })

  test('a stream tells its topic, and the stream of another deployment tells none', () => {
    const names = new Names('shop')
    expect(names.topicOf(names.topicStream('orders.eu'))).toBe('orders.eu')
    expect(names.topicOf(new Names('other').topicStream('orders'))).toBeUndefined()
  })

  test('the tokens of a subject are those behind the prefix and the kind', () => {
    const names = new Names('shop')
    expect(names.tokens(names.asideEntry('g', 't', 3, 'l7'))).toEqual(['g', 't', '3', 'l7'])
  })
})
