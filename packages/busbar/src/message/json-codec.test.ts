import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Codec } from './codec.ts'
import { DecodeError, EncodeError, MessageTooLargeError } from './errors.ts'
import { JsonCodec } from './json-codec.ts'
import { RichJsonCodec } from './rich-codec.ts'

const codec = new JsonCodec()

class Money {
  readonly cents = 5
  toJSON(): string {
    return '0.05'
  }
}

const cyclic: Record<string, unknown> = { name: 'loop' }
cyclic['self'] = { again: cyclic }

// oxlint-disable-next-line no-sparse-arrays
const holed = [1, , 3]

const refused: readonly (readonly [string, unknown, string, RegExp])[] = [
  ['BigInt', { items: [{}, {}, { price: 1n }] }, 'items[2].price', /BigInt/],
  ['Map', { byId: new Map() }, 'byId', /Map/],
  ['Set', { tags: new Set(['a']) }, 'tags', /Set/],
  ['NaN', { total: Number.NaN }, 'total', /NaN/],
  ['Infinity', [0, -Infinity], '[1]', /-Infinity/],
  ['a function', { run: () => 1 }, 'run', /function/],
  ['a symbol', { tag: Symbol('x') }, 'tag', /symbol/],
  ['a class instance, even with toJSON', { price: new Money() }, 'price', /instance of Money/],
  ['an error', new RangeError('x'), '', /instance of RangeError/],
  ['a subclass of Array', { list: new (class Stack extends Array {})() }, 'list', /instance of Stack/],
  ['a cycle', cyclic, 'self.again', /contains itself/],
  ['undefined in an array', { list: [1, undefined] }, 'list[1]', /undefined/],
  ['a hole in an array', { list: holed }, 'list[1]', /hole/],
  ['undefined as a whole', undefined, '', /undefined/],
  ['an invalid Date', { at: new Date('never') }, 'at', /invalid Date/],
  ['bytes inside', { blob: new Uint8Array(1) }, 'blob', /bytes/],
  ['a boxed number', { n: Object(1) as unknown }, 'n', /instance of Number/],
  ['a field called __proto__', JSON.parse('{"a":{"__proto__":{"admin":true}}}'), 'a.__proto__', /ignore/],
  ['constructor.prototype', { constructor: { prototype: {} } }, 'constructor', /ignore/],
  ['an odd name', { 'a b': [Number.NaN] }, '["a b"][0]', /NaN/],
]

describe.each([
  ['encode', (codec: Codec, data: unknown) => codec.encode(data)],
  ['snapshot', (codec: Codec, data: unknown) => codec.snapshot(data)],
] as const)('%s', (_, write) => {
  test.each(refused)('refuses %s with its path', (_name, data, path, reason) => {
    const error = caught(() => write(codec, data))
    expect(error).toBeInstanceOf(EncodeError)
    expect((error as EncodeError).path).toBe(path)
    expect(error.message).toMatch(reason)
  })

  test('refuses nesting beyond its limit, and accepts what is just within', () => {
    const three = new JsonCodec({ maxDepth: 3 })
    expect(() => write(three, { a: { b: [1] } })).not.toThrow()
    const error = caught(() => write(three, { a: { b: [[1]] } }))
    expect(error).toBeInstanceOf(EncodeError)
    expect(error.message).toMatch(/a\.b\[0\].*more than 3 deep/)
  })

  test('refuses what is over its size to the byte', () => {
    const ten = new JsonCodec({ maxBytes: 10 })
    expect(() => write(ten, 'x'.repeat(8))).not.toThrow()
    expect(() => write(ten, 'x'.repeat(9))).toThrow(MessageTooLargeError)
    expect(() => write(ten, 'ä'.repeat(4))).not.toThrow()
    expect(() => write(ten, 'ä'.repeat(5))).toThrow(/12 bytes/)
    expect(() => write(ten, '\n\n\n\n\n')).toThrow(MessageTooLargeError)
    expect(() => write(ten, 1.234567890123)).toThrow(MessageTooLargeError)
  })

  test('a small graph that would be an endless text is refused without writing it', () => {
    let graph: unknown = 'x'
    for (let i = 0; i < 60; i++) graph = [graph, graph]
    expect(() => write(codec, graph)).toThrow(MessageTooLargeError)
  })
})

test('what changes on the way is what the documentation says', () => {
  const at = new Date('2026-01-02T03:04:05.678Z')
  const bare = Object.assign(Object.create(null) as object, { x: 1 })
  const data = { at, gone: undefined, zero: -0, bare, [Symbol('s')]: 1 }
  const expected = { at: '2026-01-02T03:04:05.678Z', zero: 0, bare: { x: 1 } }
  expect(codec.decode(codec.encode(data))).toStrictEqual(expected)
  expect(codec.snapshot(data)).toStrictEqual(expected)
  expect(Object.keys(codec.snapshot(data) as object)).toEqual(['at', 'zero', 'bare'])
})

test('lone surrogates, odd characters and odd names survive', () => {
  const data = { '\ud800': 'a\udfffb', '': '\u0000\u2028"\\', constructor: 'Acme Builders', toString: 1 }
  expect(codec.decode(Buffer.from(codec.encode(data)))).toStrictEqual(data)
  expect(codec.snapshot(data)).toStrictEqual(data)
})

test('a snapshot shares nothing with the data, nor does its copy with the snapshot', () => {
  const data = { list: [{ n: 1 }], at: new Date(), nested: { deep: [[1]] } }
  const snapshot = codec.snapshot(data) as typeof data
  const copy = codec.copy(snapshot) as typeof data
  expect(copy).toStrictEqual(snapshot)
  for (const [a, b] of [
    [data, snapshot],
    [snapshot, copy],
  ] as const) {
    expect(a).not.toBe(b)
    expect(a.list).not.toBe(b.list)
    expect(a.list[0]).not.toBe(b.list[0])
    expect(a.nested.deep[0]).not.toBe(b.nested.deep[0])
  }
})

test('a program that adds fields to all objects does not add them to its messages', () => {
  const everywhere = Object.prototype as { added?: unknown }
  everywhere.added = { by: 'an old library' }
  try {
    const snapshot = codec.snapshot({ a: { b: 1 } })
    const copy = codec.copy(snapshot)
    for (const each of [snapshot, copy]) {
      expect(Object.keys(each as object)).toEqual(['a'])
      expect(Object.keys((each as { a: object }).a)).toEqual(['b'])
    }
  } finally {
    delete everywhere.added
  }
})

test('a snapshot can be given a lower limit', () => {
  expect(() => codec.snapshot('12345678', 10)).not.toThrow()
  expect(() => codec.snapshot('123456789', 10)).toThrow(MessageTooLargeError)
})

describe('decode', () => {
  test('drops what could change prototypes, however it is written', () => {
    const texts = [
      '{"a":1,"__proto__":{"admin":true}}',
      '{"a":1,"\\u005f_proto__":{"admin":true}}',
      '{"a":1,"constructor":{"prototype":{"admin":true}}}',
      '{"a":1,"c\\u006fnstructor":{"prototype":{"admin":true}}}',
    ]
    for (const text of texts) {
      const data = codec.decode(text) as Record<string, unknown>
      expect(Object.getOwnPropertyNames(data)).toEqual(['a'])
      expect(Object.assign({}, data)).not.toHaveProperty('admin')
    }
    expect(codec.decode('[[{"x":{"__proto__":{"admin":true}}}]]')).toStrictEqual([[{ x: {} }]])
    expect({}).not.toHaveProperty('admin')
  })

  test('keeps a harmless field called constructor, and the texts themselves', () => {
    const text = '{"constructor":"Acme","say":"__proto__"}'
    expect(codec.decode(text)).toStrictEqual({ constructor: 'Acme', say: '__proto__' })
  })

  test.each([
    ['no JSON', 'hello secret-1'],
    ['half of it', '{"token":"secret-1"'],
    ['nothing', ''],
    ['no UTF-8', Uint8Array.from([0x22, 0xff, 0x22])],
  ])('refuses %s without quoting it', (_, body) => {
    const error = caught(() => codec.decode(body))
    expect(error).toBeInstanceOf(DecodeError)
    expect(error.message).not.toContain('secret')
    expect(String(error.stack)).not.toContain('secret')
  })

  test('refuses deep nesting without running out of stack', () => {
    const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
    expect(() => codec.decode(deep(64))).not.toThrow()
    expect(() => codec.decode(deep(65))).toThrow(/nested more than 64 deep/)
    expect(() => codec.decode(deep(1_000_000))).toThrow(DecodeError)
    expect(() => codec.decode(`{"\\u0061":${deep(1_000_000)}}`)).toThrow(DecodeError)
  })

  test('brackets in texts are not nesting', () => {
    expect(codec.decode(JSON.stringify('['.repeat(1000)))).toBe('['.repeat(1000))
    expect(codec.decode(JSON.stringify([...'['.repeat(100)]))).toHaveLength(100)
  })

  test('refuses a body over its size, text or bytes', () => {
    const ten = new JsonCodec({ maxBytes: 10 })
    expect(ten.decode('"ääää"')).toBe('ääää')
    for (const body of ['"äääää"', Buffer.from('"äääää"'), `"${'x'.repeat(100)}"`]) {
      expect(() => ten.decode(body)).toThrow(DecodeError)
    }
  })
})

describe.each([
  ['JsonCodec', new JsonCodec()],
  ['RichJsonCodec', new RichJsonCodec()],
])('%s, for any data', (_, codec) => {
  const anything = fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withSparseArray: true,
    withTypedArray: true,
    stringUnit: 'binary',
  })

  test('JSON values come back as they were', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary', depthSize: 'medium' }), (data) => {
        fc.pre(!JSON.stringify(data).includes('__proto__'))
        const text = codec.encode(data)
        const plain = JSON.parse(JSON.stringify(data)) as unknown
        // Only the rich codec keeps the sign of zero.
        const expected = codec instanceof RichJsonCodec ? data : plain
        expect(codec.decode(text)).toEqual(expected)
        expect(codec.decode(Buffer.from(text))).toEqual(expected)
        expect(codec.snapshot(data)).toEqual(expected)
      }),
    )
  })

  test('encode and snapshot agree: both refuse, or both give the same', () => {
    fc.assert(
      fc.property(anything, (data) => {
        const written = attempt(() => codec.decode(codec.encode(data)))
        const copied = attempt(() => codec.snapshot(data))
        expect(copied).toStrictEqual(written)
        if (written.refused !== undefined) expect(written.refused).toMatch(/^(EncodeError|MessageTooLargeError)/)
      }),
      { numRuns: 500 },
    )
  })

  test('a second trip changes nothing more', () => {
    fc.assert(
      fc.property(anything, (data) => {
        const once = attempt(() => codec.snapshot(data))
        fc.pre(once.refused === undefined)
        expect(codec.snapshot(once.value)).toStrictEqual(once.value)
        if (codec instanceof JsonCodec) expect(codec.copy(once.value)).toStrictEqual(once.value)
      }),
      { numRuns: 500 },
    )
  })

  test('no text makes decode fail in any other way than DecodeError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const outcome = attempt(() => codec.decode(text))
        if (outcome.refused !== undefined) expect(outcome.refused).toMatch(/^DecodeError/)
      }),
      { numRuns: 500 },
    )
  })
})

function attempt(run: () => unknown): { readonly value?: unknown; readonly refused?: string } {
  try {
    return { value: run() }
  } catch (error) {
    return { refused: String(error) }
  }
}

function caught(run: () => unknown): Error {
  try {
    run()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}
