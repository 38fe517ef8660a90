/** What the compiler infers of a store's contracts; the runs only show that the calls are real. */
import { expect, expectTypeOf, test } from 'vitest'
import { MemoryEventStorage } from '../memory/index.ts'
import { DomainEvent, event, type Message, typed, type TypedMessage } from '../message/index.ts'
import { EventStore } from './event-store.ts'
import { OrderPaid, OrderPlaced, orderStore } from './fixtures/orders.ts'
import type { RecordedEvent } from './recorded-event.ts'

type Placed = TypedMessage<'event', 'OrderPlaced', { total: number; note: string }>
type Paid = TypedMessage<'event', 'OrderPaid', { at: Date }>

test('what is read is the union of the contracts, told apart by type once it is known', async () => {
  const store = orderStore()
  await store.append('order-1', [OrderPlaced.create({ total: 1 }), OrderPaid.create({ at: new Date() })])
  for await (const recorded of store.readStream('order-1')) {
    expectTypeOf(recorded).toEqualTypeOf<RecordedEvent<Placed | Paid>>()
    if (!recorded.known) {
      expectTypeOf(recorded.event).toEqualTypeOf<Message>()
      continue
    }
    expectTypeOf(recorded.event.type).toEqualTypeOf<'OrderPlaced' | 'OrderPaid'>()
    if (recorded.event.type === 'OrderPlaced') expectTypeOf(recorded.event.data.note).toEqualTypeOf<string>()
  }
  expectTypeOf(await store.replayEvents('order-1')).toEqualTypeOf<readonly (Placed | Paid)[]>()
  expect(await store.replayEvents('order-1')).toHaveLength(2)
})

test('what is appended has to be an event of its contracts, with the data that goes in', async () => {
  const store = orderStore()
  const Other = event('Other', typed<{ n: number }>())
  const wrong = async (): Promise<void> => {
    // @ts-expect-error not one of the store's contracts
    await store.append('order-1', Other.create({ n: 1 }))
    // @ts-expect-error nor in a list
    await store.append('order-1', [OrderPlaced.create({ total: 1 }), Other.create({ n: 1 })])
    // @ts-expect-error there is no such expectation
    await store.append('order-1', OrderPlaced.create({ total: 1 }), { expected: 'some' })
  }
  expect(wrong).toBeInstanceOf(Function)
  await store.append('order-1', OrderPlaced.create({ total: 1 }))
})

test('a store without contracts takes and gives any message', async () => {
  const store = new EventStore(new MemoryEventStorage())
  expectTypeOf(store).toEqualTypeOf<EventStore>()
  const placed: Message = OrderPlaced.create({ total: 1 })
  await store.append('order-1', placed)
  for await (const { event } of store.readAll()) expectTypeOf(event).toExtend<Message>()
})

test('a store of some contracts can be given where any store is wanted', async () => {
  const head = (store: EventStore) => store.head()
  expect((await head(orderStore())).count).toBe(0)
})

test('classes are contracts, too', async () => {
  class Shipped extends DomainEvent<{ to: string }> {
    static readonly type = 'Shipped'
  }
  const store = new EventStore(new MemoryEventStorage(), { contracts: [Shipped, OrderPaid] })
  await store.append('order-1', new Shipped({ to: 'Kiel' }))
  const [shipped] = await store.replayEvents('order-1')
  if (shipped?.type === 'Shipped') expectTypeOf(shipped.data).toEqualTypeOf<{ to: string }>()
  expect(shipped).toBeInstanceOf(Shipped)
})

test('the handler of a subscription is given the same', async () => {
  const store = orderStore()
  const subscription = await store.subscribe({}, (recorded) => {
    expectTypeOf(recorded).toEqualTypeOf<RecordedEvent<Placed | Paid>>()
  })
  await subscription.stop()
})
