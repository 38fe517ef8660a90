import { expect, test } from 'vitest'
import { Random } from './random.ts'

const draw = (random: Random): number[] => Array.from({ length: 1_000 }, () => random.next())

test('the same seed and part give the same numbers, another of either gives others', () => {
  expect(draw(new Random(5, 'a'))).toEqual(draw(new Random(5, 'a')))
  expect(draw(new Random(5, 'a'))).not.toEqual(draw(new Random(6, 'a')))
  expect(draw(new Random(5, 'a'))).not.toEqual(draw(new Random(5, 'b')))
})

test('numbers are spread over their range and never leave it', () => {
  const random = new Random(1)
  const drawn = Array.from({ length: 10_000 }, () => random.whole(3, 7))
  for (const n of [3, 4, 5, 6, 7]) expect(drawn.filter((one) => one === n).length).toBeGreaterThan(1_800)
  expect(Math.min(...drawn)).toBe(3)
  expect(Math.max(...drawn)).toBe(7)
})
