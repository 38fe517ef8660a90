/** What the compiler infers of deciders, classes and their repositories; the runs only show that the calls are real. */
import { expect, expectTypeOf, test } from 'vitest'
import { EventStore } from '../eventstore/index.ts'
import { MemoryEventStorage } from '../memory/index.ts'
import { command, event, type Message, typed, type TypedMessage } from '../message/index.ts'
import { given } from '../testing/index.ts'
import { decider } from './decider.ts'
import { Cart, Order } from './fixtures/orders.ts'
import { repository } from './make-repository.ts'

const Open = command('Open', typed<{ owner: string }>())
const Close = command('Close', typed<{ reason: string }>())
const Opened = event('Opened', typed<{ owner: string }>())
const Closed = event('Closed', typed<{ reason: string }>())

/** Nothing in it is annotated. */
const Account = decider({
  commands: [Open, Close],
  events: [Opened, Closed],
  initial: () => ({ owner: '', open: false, closings: 0 }),
  decide: (asked, state) => {
    expectTypeOf(asked.type).toEqualTypeOf<'Open' | 'Close'>()
    expectTypeOf(state).toEqualTypeOf<{ owner: string; open: boolean; closings: number }>()
    if (asked.type === 'Open') return Opened.create({ owner: asked.data.owner })
    return state.open ? [Closed.create({ reason: asked.data.reason })] : []
  },
  evolve: (state, happened) => {
    expectTypeOf(happened.type).toEqualTypeOf<'Opened' | 'Closed'>()
    if (happened.type === 'Opened') return { ...state, owner: happened.data.owner, open: true }
    expectTypeOf(happened.data).toEqualTypeOf<{ reason: string }>()
    return { ...state, open: false, closings: state.closings + 1 }
  },
})

test('commands, events and state of a decider are inferred, and so is what its repository takes and gives', async () => {
  const accounts = repository(new EventStore(new MemoryEventStorage()), Account, { category: 'account' })
  const { state, exists } = await accounts.load('1')
  expectTypeOf(state).toEqualTypeOf<{ owner: string; open: boolean; closings: number }>()
  expectTypeOf(exists).toEqualTypeOf<boolean>()
  expectTypeOf(await accounts.find('1')).toEqualTypeOf<typeof state | undefined>()
  const handled = await accounts.handle('1', Open.create({ owner: 'ada' }))
  expectTypeOf(handled.state).toEqualTypeOf<typeof state>()
  expect(handled.state.open).toBe(true)
  const Other = command('Other', typed<object>())
  // @ts-expect-error not one of its commands
  const wrong = () => accounts.handle('1', Other.create({}))
  expect(wrong).toBeInstanceOf(Function)
})

test('a decider cannot decide what is none of its events, nor evolve to another state', () => {
  decider({
    commands: [Open],
    events: [Opened],
    initial: () => 0,
    // @ts-expect-error Closed is none of its events
    decide: () => Closed.create({ reason: 'x' }),
    evolve: (state) => state,
  })
  decider({
    commands: [Open],
    events: [Opened],
    initial: () => 0,
    decide: () => [],
    // @ts-expect-error a state is a number
    evolve: () => 'a text',
  })
  expect(Account.initial().open).toBe(false)
})

test('decide may be asynchronous, and commands may be anything', () => {
  const Counter = decider({
    events: [Opened],
    initial: () => 0,
    decide: async (asked: { readonly by: number }, count) => {
      expectTypeOf(count).toEqualTypeOf<number>()
      return Array.from({ length: asked.by }, () => Opened.create({ owner: 'x' }))
    },
    evolve: (count, happened) => count + happened.data.owner.length,
  })
  const counters = repository(new EventStore(new MemoryEventStorage()), Counter, { category: 'counter' })
  expectTypeOf(counters.handle).parameter(1).toEqualTypeOf<{ readonly by: number }>()
  expect(counters.category).toBe('counter')
})

test('without contracts the parameters say it', () => {
  const Plain = decider({
    initial: () => 0,
    decide: (asked: number) => Opened.create({ owner: String(asked) }),
    evolve: (state, happened: TypedMessage<'event', 'Opened', { owner: string }>) => state + happened.data.owner.length,
  })
  const plain = repository(new EventStore(new MemoryEventStorage()), Plain, { category: 'plain' })
  expectTypeOf(plain.handle).parameter(1).toEqualTypeOf<number>()
  expectTypeOf(plain.get).returns.resolves.toEqualTypeOf<number>()
})

test('a repository of a class gives its objects', async () => {
  const carts = repository(new EventStore(new MemoryEventStorage()), Cart, { category: 'cart' })
  expectTypeOf(carts.get).returns.resolves.toEqualTypeOf<Cart>()
  const { state } = await carts.handle('1', (cart) => {
    expectTypeOf(cart).toEqualTypeOf<Cart>()
    cart.add('pen', 1)
  })
  expectTypeOf(state).toEqualTypeOf<Cart>()
  expectTypeOf(state.uncommittedEvents).toEqualTypeOf<readonly Message[]>()
  // @ts-expect-error protected: only its own methods let something happen
  void state.apply
})

test('a store of contracts takes the repository of any aggregate', () => {
  const store = new EventStore(new MemoryEventStorage(), { contracts: [Opened, Closed] })
  expect(repository(store, Account, { category: 'account' }).category).toBe('account')
  expect(repository(store, Order, { category: 'order' }).category).toBe('order')
})

test('given, when and then are typed by the decider', async () => {
  await given(Account, [Opened.create({ owner: 'ada' })])
    .when(Close.create({ reason: 'done' }))
    .then([Closed.create({ reason: 'done' })])
  const Other = command('Other', typed<object>())
  // @ts-expect-error not one of its commands
  expect(() => given(Account, []).when(Other.create({}))).not.toThrow()
  // @ts-expect-error not one of its events
  expect(() => given(Account, [event('Else', typed<object>()).create({})])).not.toThrow()
})
