import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromToken, Names, token } from './names.ts'

test('any name becomes one that Kafka allows, and is read back', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.constantFrom('', '__', 'a__b', '__41', '_', '__dead', '...', 'a_5F'),
      ),
      (name) => {
        const well = name.toWellFormed()
        expect(token(well)).toMatch(/^[A-Za-z0-9._-]+$/)
        expect(fromToken(token(well))).toBe(well)
      },
    ),
  )
})

test('ordinary names stay as they are', () => {
  for (const name of ['orders', 'order_events', 'shop.orders-v2'])
    expect(new Names('busbar').log(name)).toBe(`busbar.${name}`)
})

test('our own topics are no topics of users, whatever those are called', () => {
  const names = new Names('p')
  for (const own of [names.dead, names.delayed, names.ping, names.retry('g', 't')])
    expect(names.topicOf(own)).toBeUndefined()
  fc.assert(
    fc.property(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), (group, topic) => {
      const [g, t] = [group.toWellFormed(), topic.toWellFormed()]
      expect(names.retryOf(names.retry(g, t))).toEqual({ group: g, topic: t })
      expect(names.topicOf(names.log(t))).toBe(t)
      expect([names.dead, names.delayed, names.ping]).not.toContain(names.log(t))
    }),
  )
})

test('a name that is too long for Kafka is refused', () => {
  expect(() => new Names('p').log('x'.repeat(300))).toThrow(/too long for Kafka/)
})
