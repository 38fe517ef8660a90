import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { command, definitionOf, definitionOfMessage, event, query } from './contract.ts'
import { ConfigurationError, ValidationError } from './errors.ts'
import { typed } from './schema.ts'

const OrderPlaced = event('OrderPlaced', z.object({ orderId: z.string(), total: z.number() }), {
  version: 3,
  subject: (data) => data.orderId,
  topic: 'orders',
  priority: 'high',
})

describe('creating a message', () => {
  test('fills in everything that the contract knows', () => {
    const before = Date.now()
    const message = OrderPlaced.create({ orderId: 'o-1', total: 42 })
    expect(message).toMatchObject({
      type: 'OrderPlaced',
      kind: 'event',
      source: '',
      subject: 'o-1',
      key: 'o-1',
      version: 3,
      priority: 'high',
      data: { orderId: 'o-1', total: 42 },
      metadata: { correlationId: message.id },
    })
    expect(message.time.getTime()).toBeGreaterThanOrEqual(before)
  })

  test('gives every message an id of its own', () => {
    const ids = Array.from({ length: 100 }, () => OrderPlaced.create({ orderId: 'o-1', total: 1 }).id)
    expect(new Set(ids).size).toBe(100)
  })

  test('explicit metadata and attributes win', () => {
    const time = new Date('2026-01-02T03:04:05Z')
    const message = OrderPlaced.create(
      { orderId: 'o-1', total: 42 },
      { correlationId: 'c-1', userId: 'u-1', 'x-mine': 'yes' },
      { id: 'id-1', subject: 's', key: 'k', time, revision: 7, priority: 'low', source: 'shop' },
    )
    expect(message).toMatchObject({
      id: 'id-1',
      subject: 's',
      key: 'k',
      time,
      revision: 7,
      priority: 'low',
      source: 'shop',
      metadata: { correlationId: 'c-1', userId: 'u-1', 'x-mine': 'yes' },
    })
  })

  test('a key of its own comes before the subject, and revision is not version', () => {
    const Moved = event('Moved', typed<{ item: string; shelf: string }>(), {
      key: (data) => data.shelf,
      subject: (data) => data.item,
    })
    const message = Moved.create({ item: 'i', shelf: 's' }, {}, { revision: 9 })
    expect(message).toMatchObject({ key: 's', subject: 'i', version: 1, revision: 9 })
  })

  test('does not validate: publish does, so that creating stays cheap', () => {
    expect(() => OrderPlaced.create({ orderId: 1, total: 'x' } as never)).not.toThrow()
  })

  test('an undefined correlation id in the metadata counts as not given', () => {
    const message = OrderPlaced.create({ orderId: 'o', total: 1 }, { correlationId: undefined } as never)
    expect(message.metadata.correlationId).toBe(message.id)
  })
})

describe('recognising a message', () => {
  test('goes by kind and type', () => {
    const Ship = command('Ship', typed<string>())
    const ShipEvent = event('Ship', typed<string>())
    const message = Ship.create('o-1')
    expect(Ship.is(message)).toBe(true)
    expect(ShipEvent.is(message)).toBe(false)
    expect(OrderPlaced.is(message)).toBe(false)
  })

  test('a message leads to its definition, and a spread copy is the same message without that link', () => {
    const message = OrderPlaced.create({ orderId: 'o-1', total: 42 })
    expect(definitionOfMessage(message)).toBe(definitionOf(OrderPlaced))
    expect(definitionOfMessage({ ...message })).toBeUndefined()
    expect({ ...message }).toEqual(message)
  })
})

describe.each([
  ['zod', z.object({ n: z.number() })],
  ['valibot', v.object({ n: v.number() })],
  ['arktype', type({ n: 'number' })],
])('a contract with %s', (_, schema) => {
  const definition = definitionOf(event('Counted', schema))

  test('accepts what fits', () => {
    expect(definition.validate?.({ n: 1 })).toEqual({ data: { n: 1 } })
  })

  test('names the path of what does not', () => {
    const outcome = definition.validate?.({ n: 'one' })
    expect(outcome).toStrictEqual({ issues: [{ path: 'n', message: expect.any(String) as string }] })
    expect(definition.validate?.(7)).toMatchObject({ issues: [{ path: '' }] })
  })
})

test('paths of issues are written as people write them', () => {
  const definition = definitionOf(
    event('Deep', z.object({ items: z.array(z.object({ price: z.number() })), 'a b': z.number() })),
  )
  expect(definition.validate?.({ items: [{ price: 1 }, { price: '2' }], 'a b': '' })).toMatchObject({
    issues: [{ path: 'items[1].price' }, { path: '["a b"]' }],
  })
})

test('an asynchronous schema gives a promise, a synchronous one does not', async () => {
  const slow = definitionOf(
    event(
      'Slow',
      z.string().refine(async (text) => Promise.resolve(text !== 'bad')),
    ),
  )
  const outcome = slow.validate?.('good')
  expect(outcome).toBeInstanceOf(Promise)
  expect(await outcome).toEqual({ data: 'good' })
  expect(await slow.validate?.('bad')).toHaveProperty('issues')
  expect(definitionOf(OrderPlaced).validate?.({})).not.toBeInstanceOf(Promise)
})

test('typed() checks nothing, and the engine can tell', () => {
  expect(definitionOf(event('Loose', typed<{ a: 1 }>())).validate).toBeUndefined()
})

test('a query has a schema for its answer', () => {
  const Price = query('Price', z.object({ sku: z.string() }), z.object({ price: z.number() }))
  const definition = definitionOf(Price)
  expect(definition.kind).toBe('query')
  expect(definition.answer?.({ price: 1 })).toEqual({ data: { price: 1 } })
  expect(definition.answer?.({ price: 'much' })).toHaveProperty('issues')
  expect(Price.answer).toBeDefined()
})

describe('upcasting', () => {
  const Renamed = event('Renamed', typed<{ fullName: string; age: number }>(), {
    version: 3,
    upcast: {
      1: (old: { name: string }) => ({ fullName: old.name }),
      2: (old: { fullName: string }) => ({ ...old, age: 0 }),
    },
  })
  const definition = definitionOf(Renamed)

  test('runs step by step from the version of the data', () => {
    expect(definition.upcast({ name: 'Ada' }, 1)).toEqual({ fullName: 'Ada', age: 0 })
    expect(definition.upcast({ fullName: 'Ada' }, 2)).toEqual({ fullName: 'Ada', age: 0 })
    expect(definition.upcast('as it is', 3)).toBe('as it is')
  })

  test('a version that this program does not know yet is refused with both versions', () => {
    expect(() => definition.upcast({}, 4)).toThrow(ValidationError)
    expect(() => definition.upcast({}, 4)).toThrow(/version 4.*up to 3/)
  })

  test('a missing step is refused and named', () => {
    const gap = definitionOf(event('Gap', typed<unknown>(), { version: 3, upcast: { 1: (old) => old } }))
    expect(() => gap.upcast({}, 1)).toThrow(/no upcaster from version 2/)
  })

  test('an upcaster that throws makes the data invalid, since running it again would not help', () => {
    expect(() => definition.upcast(null, 1)).toThrow(ValidationError)
    expect(() => definition.upcast(null, 1)).toThrow(/upcaster from version 1 threw/)
  })

  test('upcasters that could never run are refused at once', () => {
    const declare = (upcast: Record<number, (old: unknown) => unknown>) => () =>
      event('Odd', typed<unknown>(), { version: 2, upcast })
    expect(declare({ 2: (old) => old })).toThrow(ConfigurationError)
    expect(declare({ 0: (old) => old })).toThrow(/version 0/)
    expect(declare({ 1: (old) => old })).not.toThrow()
  })
})

describe('a contract that makes no sense is refused where it is declared', () => {
  test.each(['', ' ', 'a b', 'order.*', 'tab\there', 'x'.repeat(201), 7 as unknown as string])('type %j', (name) => {
    expect(() => event(name, typed<unknown>())).toThrow(ConfigurationError)
  })

  test.each([0, -1, 1.5, Number.NaN])('version %d', (version) => {
    expect(() => event('Odd', typed<unknown>(), { version })).toThrow(/whole number/)
  })

  test('something that is no contract', () => {
    expect(() => definitionOf({} as never)).toThrow(/event\(\), command\(\) or query\(\)/)
    expect(() => definitionOf(type({ n: 'number' }) as never)).toThrow(ConfigurationError)
    expect(() => definitionOf(class Other {} as never)).toThrow(/Other is no event class/)
  })
})
