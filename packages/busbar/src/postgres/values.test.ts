import { expect, test } from 'vitest'
import { type Parameter, parameter, texts } from './values.ts'

/** As the server reads it: `array_recv` in its source. */
function decoded(array: Parameter): { readonly header: readonly number[]; readonly texts: readonly (string | null)[] } {
  const buffer = array as Buffer
  const header = [0, 4, 8, 12, 16].map((at) => buffer.readInt32BE(at))
  const found: (string | null)[] = []
  let at = 20
  while (at < buffer.length) {
    const length = buffer.readInt32BE(at)
    at += 4
    found.push(length < 0 ? null : buffer.toString('utf8', at, at + length))
    at += Math.max(0, length)
  }
  expect(at).toBe(buffer.length)
  return { header, texts: found }
}

const MIXED = ['a', 'a', null, 'a', '', '', 'é', '€', '😀', '😀', null, null, 'a'.repeat(50), 'é'.repeat(50)]

test('an array of texts is what was given: repeated ones, empty ones, nulls and characters of every length', () => {
  const { header, texts: found } = decoded(parameter(texts(MIXED)))
  expect(found).toEqual(MIXED)
  expect(header).toEqual([1, 1, 25, MIXED.length, 1])
})

test('also where it is large', () => {
  const large = [...MIXED, '€'.repeat(200_000), '€'.repeat(200_000), 'a'.repeat(400_000), ...MIXED]
  expect(decoded(parameter(texts(large))).texts).toEqual(large)
})

test('an array of no texts has a header alone', () => {
  expect(decoded(parameter(texts([]))).texts).toEqual([])
})
