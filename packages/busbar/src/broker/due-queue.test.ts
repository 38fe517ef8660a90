import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueQueue } from './due-queue.ts'

test('what was added comes soonest first, and what is due at once in the order in which it was added', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (dues) => {
      const items = dues.map((due, index) => ({ due, index }))
      const queue = new DueQueue<(typeof items)[number]>()
      for (const item of items) queue.add(item)
      const taken: typeof items = []
      for (let { first } = queue; first !== undefined; { first } = queue) {
        taken.push(first)
        queue.removeFirst()
      }
      expect(taken).toEqual(items.toSorted((a, b) => a.due - b.due || a.index - b.index))
    }),
  )
})

test('an empty queue has no first, also when it is taken from', () => {
  const queue = new DueQueue<{ due: number }>()
  queue.removeFirst()
  expect(queue.first).toBeUndefined()
})
