import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fifo } from './fifo.ts'

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 8, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 900 }) }) },
  fc.record({ prepend: fc.integer({ min: 0, max: 9 }) }),
  fc.constant({ drain: true }),
)

test('whatever is done to it, it holds what an array would hold, in the same order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const fifo = new Fifo<number>()
      let list: number[] = []
      let next = 0
      for (const each of steps) {
        if ('push' in each) {
          for (let n = 0; n < each.push; n++) {
            fifo.push(++next)
            list.push(next)
          }
        } else if ('shift' in each) {
          for (let n = 0; n < each.shift; n++) expect(fifo.shift()).toBe(list.shift())
        } else if ('prepend' in each) {
          const items = Array.from({ length: each.prepend }, () => ++next)
          fifo.prepend(items)
          list = [...items, ...list]
        } else {
          expect(fifo.drain()).toEqual(list)
          list = []
        }
        expect(fifo.length).toBe(list.length)
        expect(fifo.peek()).toBe(list[0])
        expect(fifo.items()).toEqual(list)
      }
    }),
  )
})

test('it does not keep what was taken out of it', () => {
  const fifo = new Fifo<object>()
  for (let n = 0; n < 5_000; n++) fifo.push({})
  while (fifo.length > 1) fifo.shift()
  const { ring } = fifo as unknown as { ring: readonly (object | undefined)[] }
  expect(ring.filter((each) => each !== undefined)).toHaveLength(1)
  fifo.shift()
  expect((fifo as unknown as { ring: readonly unknown[] }).ring).toHaveLength(0)
})
