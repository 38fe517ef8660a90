import { type, type Type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { reviverOf } from './dates.ts'
import type { Schema } from './schema.ts'

const ISO = '2026-01-02T03:04:05.678Z'
const at = new Date(ISO)

const reading = (schema: unknown, data: unknown): unknown => reviverOf(schema as Schema)(data)

describe.each([
  ['zod', z.object({ at: z.date(), deep: z.array(z.object({ on: z.date().optional(), note: z.string() })) })],
  ['valibot', v.object({ at: v.date(), deep: v.array(v.object({ on: v.optional(v.date()), note: v.string() })) })],
  ['arktype', type({ at: 'Date', deep: type({ 'on?': 'Date', note: 'string' }).array() })],
])('with %s', (_, schema) => {
  test('a Date comes back where the schema wants one, a string stays where it wants a string', () => {
    const data = { at: ISO, deep: [{ note: ISO }, { on: ISO, note: 'x' }, { on: ISO, note: ISO }] }
    expect(reading(schema, data)).toEqual({
      data: { at, deep: [{ note: ISO }, { on: at, note: 'x' }, { on: at, note: ISO }] },
    })
  })

  test('the data that came is not changed', () => {
    const data = { at: ISO, deep: [{ on: ISO, note: 'x' }] }
    reading(schema, data)
    expect(data).toEqual({ at: ISO, deep: [{ on: ISO, note: 'x' }] })
  })

  test('a Date that is already there is fine', () => {
    expect(reading(schema, { at, deep: [] })).toEqual({ data: { at, deep: [] } })
  })

  test('what is no moment is still refused, by its path', () => {
    const outcome = reading(schema, { at: 'yesterday', deep: [] })
    expect(outcome).toMatchObject({ issues: [{ path: 'at' }] })
  })

  test('other mistakes are told alone, not the dates that could be read', () => {
    const outcome = reading(schema, { at: ISO, deep: [{ on: ISO, note: 7 }] }) as { issues: { path: string }[] }
    expect(outcome.issues.map(({ path }) => path)).toEqual(['deep[0].note'])
  })
})

test('an array of dates, a date as a whole, a record of dates', () => {
  expect(reading(z.array(z.date()), [ISO, ISO])).toEqual({ data: [at, at] })
  expect(reading(z.date(), ISO)).toEqual({ data: at })
  expect(reading(z.record(z.string(), z.date()), { a: ISO, 'b c': ISO })).toEqual({ data: { a: at, 'b c': at } })
})

test('a thousand dates cost a few validations, not a thousand', () => {
  let validations = 0
  const schema = z.preprocess((data) => {
    validations++
    return data
  }, z.array(z.date()))
  expect(
    reading(
      schema,
      Array.from({ length: 1000 }, () => ISO),
    ),
  ).toHaveProperty('data')
  expect(validations).toBeLessThan(5)
})

test('a date beside a transform sees the value that the transform is to see', () => {
  const schema = z.object({ at: z.date(), n: z.string().transform(Number) })
  expect(reading(schema, { at: ISO, n: '7' })).toEqual({ data: { at, n: 7 } })
})

describe('where branches of a union disagree', () => {
  const discriminated = z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('timed'), at: z.date() }),
    z.object({ kind: z.literal('noted'), at: z.string() }),
    z.object({ kind: z.literal('any'), at: z.unknown() }),
  ])

  test('the same path is a Date in one branch and a string in another, in any order', () => {
    const read = reviverOf(discriminated)
    for (let round = 0; round < 2; round++) {
      expect(read({ kind: 'timed', at: ISO })).toEqual({ data: { kind: 'timed', at } })
      expect(read({ kind: 'noted', at: ISO })).toEqual({ data: { kind: 'noted', at: ISO } })
      expect(read({ kind: 'any', at: ISO })).toEqual({ data: { kind: 'any', at: ISO } })
    }
  })

  test.each([
    ['zod', z.union([z.object({ n: z.number() }), z.object({ note: z.string(), on: z.date() })])],
    ['valibot', v.union([v.object({ n: v.number() }), v.object({ note: v.string(), on: v.date() })])],
    ['arktype', type({ n: 'number' }).or({ note: 'string', on: 'Date' })],
  ])('%s: beside a string that only looks like a date', (_, schema) => {
    expect(reading(schema, { note: ISO, on: ISO })).toEqual({ data: { note: ISO, on: at } })
  })

  test.each([
    [
      'zod',
      z.union([
        z.object({ kind: z.literal('a'), at: z.date(), note: z.string() }),
        z.object({ kind: z.literal('b'), at: z.string(), note: z.date() }),
      ]),
      (item: z.ZodType) => z.object({ items: z.array(item) }),
    ],
    [
      'valibot',
      v.union([
        v.object({ kind: v.literal('a'), at: v.date(), note: v.string() }),
        v.object({ kind: v.literal('b'), at: v.string(), note: v.date() }),
      ]),
      (item: v.GenericSchema) => v.object({ items: v.array(item) }),
    ],
    [
      'arktype',
      type({ kind: "'a'", at: 'Date', note: 'string' }).or({ kind: "'b'", at: 'string', note: 'Date' }),
      (item: Type) => type({ items: item.array() }),
    ],
  ])('%s: in a list of mixed items, each by its own branch', (_, item, list) => {
    const data = { items: [1, 2, 3, 4].map((n) => ({ kind: n % 2 === 0 ? 'a' : 'b', at: ISO, note: ISO })) }
    const outcome = reading(list(item as never), data) as { data: typeof data }
    expect(outcome.data.items.map((one) => typeof one.at)).toEqual(['string', 'object', 'string', 'object'])
    expect(outcome.data.items.map((one) => typeof one.note)).toEqual(['object', 'string', 'object', 'string'])
  })

  test('a string is left alone where either would do', () => {
    expect(reading(z.union([z.date(), z.string()]), ISO)).toEqual({ data: ISO })
    expect(reading(z.coerce.date(), ISO)).toEqual({ data: at })
  })

  test('a hopeless message is given up after a bounded number of validations', () => {
    let validations = 0
    const never = z.preprocess(
      (data) => {
        validations++
        return data
      },
      z.union([z.object({ no: z.literal(1) }), z.object({ no: z.literal(2) })]),
    )
    const data = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, ISO]))
    expect(reading(never, data)).toHaveProperty('issues')
    expect(reading(never, Object.fromEntries(Object.entries(data).slice(0, 6)))).toHaveProperty('issues')
    expect(validations).toBeLessThan(1000)
  })
})

test.each(['2026-01-02', '2026-01-02T03:04Z', '2026-01-02T03:04:05+02:00', '2026-01-02T03:04:05.123456Z'])(
  'what other writers write is read: %s',
  (text) => {
    expect(reading(z.date(), text)).toEqual({ data: new Date(text) })
  },
)

test.each(['2026-01-02T03:04:05', '2026-13-02T03:04:05Z', '1767323045', 'Fri, 02 Jan 2026 03:04:05 GMT', '2026', ''])(
  'what is no unambiguous ISO 8601 is not: %j',
  (text) => {
    expect(reading(z.date(), text)).toHaveProperty('issues')
  },
)

test('what a Date cannot put right is told as it came', () => {
  const outcome = reading(z.object({ code: z.string().max(3) }), { code: ISO }) as { issues: { message: string }[] }
  expect(outcome.issues).toMatchObject([{ path: 'code', message: expect.stringMatching(/<=3/) as string }])
})

test('an asynchronous schema works alike', async () => {
  const schema = z.object({ at: z.date(), n: z.number().refine(async (n) => Promise.resolve(n > 0)) })
  const outcome = reading(schema, { at: ISO, n: 1 })
  expect(outcome).toBeInstanceOf(Promise)
  expect(await outcome).toEqual({ data: { at, n: 1 } })
  expect(await reading(schema, { at: ISO, n: -1 })).toMatchObject({ issues: [{ path: 'n' }] })
})

test('what a schema makes of good data at once is not validated again', () => {
  let validations = 0
  const schema = z.preprocess(
    (data) => {
      validations++
      return data
    },
    z.object({ text: z.string() }),
  )
  reading(schema, { text: ISO })
  expect(validations).toBe(1)
})
