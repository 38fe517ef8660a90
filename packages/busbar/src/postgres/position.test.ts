import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodePositions, encodePositions } from './position.ts'

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
const positionOf = (epoch: number, xid: number, number: number): string =>
  `${hex(epoch, 4)}.${hex(xid, 14)}.${hex(number, 14)}`

const anyPosition = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 3, max: 2 ** 40 }), fc.integer({ min: 1, max: 2 ** 40 }))
  .map(([epoch, xid, number]) => positionOf(epoch, xid, number))

test('positions come back from their short texts as they were, over transactions and epochs', () => {
  fc.assert(
    fc.property(fc.array(anyPosition, { maxLength: 50 }), (positions) => {
      const sorted = positions.toSorted()
      expect(decodePositions(encodePositions(sorted))).toEqual(sorted)
    }),
  )
})

test('texts of positions are in the order of epoch, transaction and number', () => {
  const parts = fc.tuple(fc.nat(9), fc.nat(2 ** 40), fc.nat(2 ** 40))
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const order = a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
      expect(Math.sign(order)).toBe(
        positionOf(...a) < positionOf(...b) ? -1 : positionOf(...a) > positionOf(...b) ? 1 : 0,
      )
    }),
  )
})

test('the short texts of a list are short where positions are close, and never hold what the list is separated by', () => {
  const positions = Array.from({ length: 100 }, (_, n) => positionOf(1, 1000 + Math.floor(n / 10), 5000 + n))
  const texts = encodePositions(positions)
  expect(texts.join(' ').length).toBeLessThan(34 + 100 * 5)
  for (const text of texts) expect(text).toMatch(/^[0-9a-z./-]+$/)
})

test('a list that the server has added to, with whole positions, is read, too', () => {
  const [first, second, third] = [positionOf(1, 10, 7), positionOf(1, 10, 8), positionOf(1, 12, 3)]
  const text = [...encodePositions([first, second]), third, positionOf(1, 12, 9)]
  expect(decodePositions(text)).toEqual([first, second, third, positionOf(1, 12, 9)])
})
