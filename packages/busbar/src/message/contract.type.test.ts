import { type } from 'arktype'
import * as v from 'valibot'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { command, event, query } from './contract.ts'
import type { AnswerIn, AnswerOf, ContractLike, DataIn, DataOut, MessageOf } from './contract.ts'
import { DomainEvent } from './domain-event.ts'
import type { Message, Metadata } from './message.ts'
import { typed } from './schema.ts'

const Placed = event('Placed', z.object({ id: z.string(), at: z.string().transform((text) => new Date(text)) }), {
  subject: (data) => data.id,
})
const Ship = command('Ship', v.object({ id: v.string(), note: v.optional(v.string()) }))
const Counted = event('Counted', type({ n: 'number' }))
const Price = query(
  'Price',
  typed<{ sku: string }>(),
  z.object({ price: z.number(), on: z.string().transform(Number) }),
)

class OrderPaid extends DomainEvent<{ cents: number }> {
  static readonly type = 'OrderPaid'
}

test('create takes the input of the schema, handlers get its output', () => {
  expectTypeOf<DataIn<typeof Placed>>().toEqualTypeOf<{ id: string; at: string }>()
  expectTypeOf<DataOut<typeof Placed>>().toEqualTypeOf<{ id: string; at: Date }>()
  expectTypeOf<MessageOf<typeof Placed>['data']['at']>().toEqualTypeOf<Date>()
  expectTypeOf(Placed.create).parameter(0).toEqualTypeOf<{ id: string; at: string }>()
})

test('types are inferred from every kind of schema', () => {
  expectTypeOf<DataIn<typeof Ship>>().toEqualTypeOf<{ id: string; note?: string | undefined }>()
  expectTypeOf<DataOut<typeof Counted>>().toEqualTypeOf<{ n: number }>()
  expectTypeOf<DataOut<typeof Price>>().toEqualTypeOf<{ sku: string }>()
})

test('type and kind are literals', () => {
  expectTypeOf<MessageOf<typeof Placed>['type']>().toEqualTypeOf<'Placed'>()
  expectTypeOf<MessageOf<typeof Ship>['kind']>().toEqualTypeOf<'command'>()
  expectTypeOf(Placed.type).toEqualTypeOf<'Placed'>()
})

test('a union of messages narrows by its type', () => {
  const total = (message: MessageOf<typeof Placed> | MessageOf<typeof Counted>): number =>
    message.type === 'Counted' ? message.data.n : message.data.at.getTime()
  expectTypeOf(total).returns.toEqualTypeOf<number>()
})

test('is() narrows an unknown message', () => {
  const message = {} as Message
  if (Counted.is(message)) expectTypeOf(message.data).toEqualTypeOf<{ n: number }>()
})

test('a query knows what its handler returns and what the asker gets', () => {
  expectTypeOf<AnswerIn<typeof Price>>().toEqualTypeOf<{ price: number; on: string }>()
  expectTypeOf<AnswerOf<typeof Price>>().toEqualTypeOf<{ price: number; on: number }>()
  expectTypeOf<AnswerOf<typeof Placed>>().toBeNever()
})

test('event classes and contracts are used alike', () => {
  expectTypeOf<DataIn<typeof OrderPaid>>().toEqualTypeOf<{ cents: number }>()
  expectTypeOf<MessageOf<typeof OrderPaid>>().toExtend<OrderPaid>()
  expectTypeOf<MessageOf<typeof OrderPaid>['type']>().toEqualTypeOf<'OrderPaid'>()
  const all: ContractLike[] = [Placed, Ship, Counted, Price, OrderPaid]
  expectTypeOf(all).toExtend<readonly ContractLike[]>()
  expectTypeOf<OrderPaid>().toExtend<Message<{ cents: number }>>()
})

test('a message that a contract created is a message', () => {
  expectTypeOf(Placed.create({ id: 'o', at: '' })).toExtend<Message<{ id: string; at: string }>>()
})

test('what does not fit the schema does not compile', () => {
  // @ts-expect-error a number is no string
  Placed.create({ id: 1, at: '' })
  // @ts-expect-error a field is missing
  Counted.create({})
  // @ts-expect-error metadata are texts
  Counted.create({ n: 1 }, { userId: 7 })
  // @ts-expect-error a key is no header: it goes into the argument after the metadata
  Counted.create({ n: 1 }, { key: 'k' })
  // @ts-expect-error nor is a subject, also beside real headers
  Counted.create({ n: 1 }, { userId: 'u', subject: 's' })
  // @ts-expect-error not a schema
  expectTypeOf(() => event('X', {})).toBeFunction()
  expectTypeOf<Partial<Metadata>>().toExtend<Parameters<typeof Counted.create>[1]>()
})

test('unknown, never any, is what is not declared', () => {
  expectTypeOf<Message['data']>().toBeUnknown()
  expectTypeOf<DataIn<ContractLike>>().not.toBeAny()
  expectTypeOf<MessageOf<ContractLike>>().not.toBeAny()
})

test('an upcaster may say what it takes', () => {
  event('Old', typed<{ b: number }>(), { version: 2, upcast: { 1: (old: { a: number }) => ({ b: old.a }) } })
  event('Old', typed<{ b: number }>(), {
    version: 2,
    upcast: {
      1: (old) => {
        expectTypeOf(old).toBeUnknown()
        return old
      },
    },
  })
})
