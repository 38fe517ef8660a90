import { expect, test } from 'vitest'
import type { EncodedMessage } from '../message/message.ts'
import { HandedOut } from './delivery.ts'
import { Lanes } from './lanes.ts'

const owner = { lapsed: false, began() {} }
const free = (): boolean => false

function delivery(seq: number, lane?: string): HandedOut {
  return new HandedOut({} as EncodedMessage, { topic: 't', partition: 0, seq, lane }, owner)
}

test('of a key one goes at a time, in order; other keys and those without one go at once', () => {
  const lanes = new Lanes()
  const [one, two, three] = [delivery(1, 'a'), delivery(2, 'a'), delivery(3, 'a')]
  expect([one, two, three].map((each) => lanes.enter(each, free))).toEqual(['go', 'wait', 'wait'])
  expect(lanes.enter(delivery(4, 'b'), free)).toBe('go')
  expect(lanes.enter(delivery(5), free)).toBe('go')
  expect(lanes.settled(one)).toBe(two)
  // Released and handed out again.
  expect(lanes.enter(two, free)).toBe('go')
  expect(lanes.settled(two)).toBe(three)
  expect(lanes.settled(three)).toBeUndefined()
  expect(lanes.has('a')).toBe(false)
})

test('what is behind one that leaves is parked, also what comes until all of it is stored', () => {
  const lanes = new Lanes()
  const [head, waiting, late] = [delivery(1, 'a'), delivery(2, 'a'), delivery(3, 'a')]
  lanes.enter(head, free)
  lanes.enter(waiting, free)
  expect(lanes.leave(head)).toEqual([waiting])
  lanes.settled(head)
  expect(lanes.enter(late, free)).toBe('park')
  lanes.settled(waiting)
  expect(lanes.has('a')).toBe(true)
  lanes.settled(late)
  expect(lanes.has('a')).toBe(false)
})

test('behind something that is set aside a message is parked', () => {
  const lanes = new Lanes()
  const one = delivery(1, 'a')
  expect(lanes.enter(one, (lane) => lane === 'a')).toBe('park')
  lanes.settled(one)
  expect(lanes.enter(delivery(2, 'a'), free)).toBe('go')
})
