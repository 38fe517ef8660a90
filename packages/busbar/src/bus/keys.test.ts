import { expect, test } from 'vitest'

import { Keys } from './keys.ts'

test('a busy line is the same one however many keys come and go, and so is what is behind it', () => {
  const keys = new Keys<number>()
  const busy = ['a', 'b'].map((key) => keys.line(key))
  for (const line of busy) line.busy = true
  for (let n = 0; n < 10_000; n++) keys.line(`key-${n}`)
  expect([keys.line('a'), keys.line('b')]).toEqual(busy)
  expect(keys.line('a')).toBe(busy[0])
})

test('lines of keys that are not used any more are forgotten', () => {
  const keys = new Keys<number>()
  const first = keys.line('key-0')
  for (let n = 1; n < 10_000; n++) keys.line(`key-${n}`)
  expect(keys.line('key-0')).not.toBe(first)
})

test('many busy lines at once are all kept', () => {
  const keys = new Keys<number>()
  const lines = Array.from({ length: 5_000 }, (_, n) => {
    const line = keys.line(`key-${n}`)
    line.busy = true
    return line
  })
  for (let n = 0; n < 20_000; n++) keys.line(`other-${n}`)
  for (const [n, line] of lines.entries()) expect(keys.line(`key-${n}`) === line).toBe(true)
})
