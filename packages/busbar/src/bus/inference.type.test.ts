/** What the compiler infers, checked when the tests are type checked; the runs only show that the calls are real. */
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'

import { type AnswerOf, DomainEvent, event, type Message, query, typed } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { GetTotal, OrderPaid, OrderPlaced, PlaceOrder, Ticked } from './fixtures/contracts.ts'
import type { HandlerContext } from './handler.ts'
import { on } from './selection.ts'

class Greeted extends DomainEvent<{ name: string }> {
  static readonly type = 'Greeted'
  get greeting(): string {
    return `hello ${this.data.name}`
  }
}

test('subscribe infers the message of a contract: type, kind, and the schema’s output', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(OrderPlaced, (message, context) => {
    expectTypeOf(message.type).toEqualTypeOf<'order.placed'>()
    expectTypeOf(message.kind).toEqualTypeOf<'event'>()
    expectTypeOf(message.data).toEqualTypeOf<{ orderId: string; total: number }>()
    expectTypeOf(context).toEqualTypeOf<HandlerContext>()
    // @ts-expect-error there is no such field
    void message.data.amount
  })
  await bus.subscribe(PlaceOrder, (message) => expectTypeOf(message.kind).toEqualTypeOf<'command'>())
  expect(bus.getRegisteredEventTypes()).toHaveLength(2)
})

test('what goes in is the schema’s input: a field with a default may be left out', () => {
  OrderPlaced.create({ orderId: 'o-1' })
  // @ts-expect-error orderId is missing
  OrderPlaced.create({ total: 1 })
  const Trimmed = event(
    'Trimmed',
    z.string().transform((text) => text.length),
  )
  expectTypeOf(Trimmed.create).parameter(0).toEqualTypeOf<string>()
  expect(Trimmed.create('x').data).toBe('x')
})

test('a transform’s output is what handlers get', async () => {
  await using bus = await memoryBus()
  const Trimmed = event(
    'Trimmed',
    z.string().transform((text) => text.length),
  )
  const seen: number[] = []
  await bus.subscribe(Trimmed, ({ data }) => {
    expectTypeOf(data).toEqualTypeOf<number>()
    seen.push(data)
  })
  await bus.publish(Trimmed.create('four'))
  await bus.idle()
  expect(seen).toEqual([4])
})

test('an array of contracts gives their union, told apart by type', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(
    [OrderPlaced, OrderPaid, Ticked],
    (message) => {
      expectTypeOf(message.type).toEqualTypeOf<'order.placed' | 'order.paid' | 'Ticked'>()
      if (message.type === 'Ticked') expectTypeOf(message.data).toEqualTypeOf<{ n: number }>()
      else expectTypeOf(message.data.orderId).toEqualTypeOf<string>()
      // @ts-expect-error not all of them have it
      void message.data.total
    },
    { group: 'g' },
  )
  expect(bus.subscriptions()).toHaveLength(1)
})

test('a class gives its instances, with their methods', async () => {
  await using bus = await memoryBus()
  const seen: string[] = []
  await bus.subscribe(Greeted, (message) => {
    expectTypeOf(message.greeting).toEqualTypeOf<string>()
    expectTypeOf(message.data.name).toEqualTypeOf<string>()
    expectTypeOf(message.type).toEqualTypeOf<'Greeted'>()
    seen.push(message.greeting)
  })
  await bus.publish(new Greeted({ name: 'Ada' }))
  await bus.idle()
  expect(seen).toEqual(['hello Ada'])
})

test('names and patterns give unknown data', async () => {
  await using bus = await memoryBus()
  for (const selector of ['order.placed', 'order.*', '*'] as const) {
    await bus.subscribe(selector, (message) => {
      expectTypeOf(message).toEqualTypeOf<Message>()
      expectTypeOf(message.data).toBeUnknown()
    })
  }
  expect(bus.subscriptions()).toHaveLength(3)
})

test('a handler for another message is an error, as a function, as an object and in on()', async () => {
  await using bus = await memoryBus()
  const forTicked = (message: Message<{ n: number }>): void => void message.data.n
  await bus.subscribe(Ticked, forTicked)
  await bus.subscribe(Ticked, { handle: forTicked })
  // @ts-expect-error it has no n
  await bus.subscribe(OrderPlaced, forTicked)
  // @ts-expect-error it has no n
  await bus.subscribe(OrderPlaced, { handle: forTicked })
  // @ts-expect-error it has no n
  const wrong = on(OrderPlaced, forTicked)
  // @ts-expect-error data of a name is unknown
  await bus.subscribe('Ticked', forTicked)
  const entries = [
    on(Ticked, ({ data }) => expectTypeOf(data.n).toBeNumber()),
    on(OrderPaid, ({ data }) => void data.orderId),
  ]
  await bus.subscribe(entries, { group: 'g' })
  expect(wrong.selector).toBe(OrderPlaced)
})

test('request infers the answer; a handler has to give one that fits', async () => {
  await using bus = await memoryBus()
  await bus.subscribe(GetTotal, ({ data }) => {
    expectTypeOf(data).toEqualTypeOf<{ orderId: string }>()
    return { total: 1 }
  })
  const answer = await bus.request(GetTotal.create({ orderId: 'o-1' }))
  expectTypeOf(answer).toEqualTypeOf<{ total: number }>()
  expectTypeOf<AnswerOf<typeof GetTotal>>().toEqualTypeOf<{ total: number }>()
  expect(answer).toEqual({ total: 1 })

  const Ask = query('Ask', typed<object>(), typed<string>())
  // @ts-expect-error a number is no answer to Ask
  await bus.subscribe(Ask, () => 1)
  const Other = query('Other', typed<object>(), typed<string>())
  // @ts-expect-error nothing is no answer, either
  await bus.subscribe(Other, () => {})
  const asynchronous = query('Asynchronous', typed<object>(), typed<string>())
  await bus.subscribe(asynchronous, async () => 'yes')
  // @ts-expect-error an event is not requested
  await expect(bus.request(Ticked.create({ n: 1 }))).rejects.toThrow('an event')
})

test('messages are read-only', () => {
  const message = Ticked.create({ n: 1 })
  const write = (): void => {
    // @ts-expect-error middleware that changes a message returns a new one
    message.id = 'other'
    // @ts-expect-error so are its headers
    message.metadata.correlationId = 'other'
  }
  expect(write).toBeTypeOf('function')
})

test('unknown options are errors', async () => {
  await using bus = await memoryBus()
  // @ts-expect-error a typing mistake
  await bus.subscribe(Ticked, () => {}, { concurency: 1 })
  // @ts-expect-error exact: leave it out instead of giving undefined
  await bus.subscribe(Ticked, () => {}, { concurrency: undefined })
  expect(bus.subscriptions()).toHaveLength(2)
})
