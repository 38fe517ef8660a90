import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DecodeError, EncodeError } from './errors.ts'
import { RichJsonCodec } from './rich-codec.ts'

const codec = new RichJsonCodec()

test.each([
  ['BigInt', { big: 12345678901234567890n, minus: -1n }],
  [
    'Map',
    {
      map: new Map<unknown, unknown>([
        ['a', 1],
        [{ k: 1 }, new Map([[1n, new Set([1])]])],
      ]),
    },
  ],
  ['Set', { set: new Set(['a', 2n, undefined]) }],
  ['Date', { at: new Date('2026-01-02T03:04:05.678Z') }],
  ['numbers that JSON lacks', [Number.NaN, Infinity, -Infinity, -0, 0]],
  ['undefined', { there: undefined, list: [undefined, null] }],
  ['bytes', { blob: Uint8Array.from([0, 255, 7]), none: new Uint8Array() }],
  ['undefined as a whole', undefined],
  ['a Date as a whole', new Date(0)],
  ['data that looks like a tag', { $bigint: '12' }],
  ['data that looks like an escaped tag', { a: { $$date: 'x' }, b: { $: 1 }, c: { $undefined: true } }],
  ['fields with $ that are no tags', { $date: 'x', other: 1 }],
])('carries %s', (_, data) => {
  expect(codec.decode(codec.encode(data))).toStrictEqual(data)
  expect(codec.snapshot(data)).toStrictEqual(data)
})

test('a part of a larger buffer carries that part alone', () => {
  const pool = Buffer.from('secret-visible-secret')
  const text = codec.encode({ part: pool.subarray(7, 14) })
  expect(codec.decode(text)).toStrictEqual({ part: Uint8Array.from(Buffer.from('visible')) })
})

test('snapshots share nothing', () => {
  const data = { at: new Date(0), map: new Map([['a', { n: 1 }]]), bytes: new Uint8Array(2) }
  const copy = codec.snapshot(data) as typeof data
  expect(copy.at).not.toBe(data.at)
  expect(copy.map.get('a')).not.toBe(data.map.get('a'))
  expect(copy.bytes.buffer).not.toBe(data.bytes.buffer)
})

describe('still refuses with the path', () => {
  class Point {}
  const loop: unknown[] = []
  loop.push({ loop })
  const deep = Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], 1)

  test.each([
    ['a function', { a: [() => 1] }, 'a[0]'],
    ['a symbol', { a: Symbol('s') }, 'a'],
    ['a class instance', { p: new Point() }, 'p'],
    ['a subclass of Map', { m: new (class Index extends Map {})() }, 'm'],
    ['a cycle', loop, '[0].loop'],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'at'],
    // oxlint-disable-next-line no-sparse-arrays
    ['a hole', { list: [, 1] }, 'list[0]'],
    ['a field called __proto__', JSON.parse('{"__proto__":1}'), '__proto__'],
  ])('%s', (_, data, path) => {
    for (const write of [() => codec.encode(data), () => codec.snapshot(data)]) {
      try {
        write()
        expect.unreachable()
      } catch (error) {
        expect(error).toBeInstanceOf(EncodeError)
        expect((error as EncodeError).path).toBe(path)
      }
    }
  })

  test('a BigInt so long that reading it would take seconds', () => {
    const longest = 10n ** 10_000n - 1n
    expect(codec.decode(codec.encode([longest, -longest]))).toEqual([longest, -longest])
    expect(() => codec.encode({ n: longest + 1n })).toThrow(EncodeError)
    expect(() => codec.encode({ n: -longest - 1n })).toThrow(/^n cannot be written.*10000 digits/)
    expect(() => codec.decode(`{"$bigint":"${'9'.repeat(10_002)}"}`)).toThrow(DecodeError)
  })

  test('what is too deep', () => {
    expect(() => codec.encode(deep)).toThrow(/64 deep/)
  })
})

test.each([
  '{"$bigint":"1e9"}',
  '{"$bigint":7}',
  '{"$date":"never"}',
  '{"$number":"1"}',
  '{"$map":[[1]]}',
  '{"$map":{}}',
  '{"$set":1}',
  '{"$bytes":1}',
  '{"$toString":1}',
  '{"$unknown-secret-payload-secret-payload-secret":1}',
])('a broken or unknown tag is refused: %s', (text) => {
  expect(() => codec.decode(text)).toThrow(DecodeError)
})

test('a tag cannot smuggle in a prototype', () => {
  const data = codec.decode('{"a":{"$$__proto__":{"admin":true}},"b":{"$map":[["__proto__",1]]}}') as { a: object }
  expect(Object.keys(data.a)).toEqual(['$__proto__'])
  expect(data.a).not.toHaveProperty('admin')
})

test('whatever it accepts comes back the same', () => {
  const rich = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    stringUnit: 'binary',
    key: fc.oneof(fc.string(), fc.constantFrom('$date', '$$date', '$', '$undefined', 'a')),
  })
  fc.assert(
    fc.property(rich, (data) => {
      let text
      try {
        text = codec.encode(data)
      } catch (error) {
        expect(error).toBeInstanceOf(EncodeError)
        return
      }
      expect(codec.decode(text)).toStrictEqual(data)
    }),
    { numRuns: 1000 },
  )
})
