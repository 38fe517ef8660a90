import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { command, event, typed } from '../message/index.ts'
import type { Message } from '../message/index.ts'
import { BaseEventHandler } from './base-event-handler.ts'
import { EventBus } from './bus.ts'
import { declareHandler, declareOptions } from './declarations.ts'
import type { HandlerDeclaration, HandlerOptions } from './declarations.ts'
import { silentLogger } from './logger.ts'
import type { BusOptions } from './options.ts'

const Placed = event('Placed', typed<{ orderId: string }>())
const Paid = event('Paid', typed<{ orderId: string }>())
const Ship = command('Ship', typed<{ orderId: string }>())
const placed = (): Message => Placed.create({ orderId: 'o-1' })
const paid = (): Message => Paid.create({ orderId: 'o-1' })

const newBus = (options: BusOptions = {}): EventBus =>
  new EventBus(new MemoryBroker(), { source: 'shop', logger: silentLogger, ...options })

/** A handler class, new for each test, that notes which of its methods ran. */
function handlerClass(options?: HandlerOptions, declarations: readonly HandlerDeclaration[] = both) {
  class Billing {
    readonly ran: string[] = []
    placed(): void {
      this.ran.push('placed')
    }
    paid(): void {
      this.ran.push('paid')
    }
  }
  for (const declaration of declarations) declareHandler(Billing, declaration)
  if (options !== undefined) declareOptions(Billing, options)
  return Billing
}

const onPlaced = { kind: 'event', selectors: [Placed], method: 'placed' } as const
const onPaid = { kind: 'event', selectors: [Paid], method: 'paid' } as const
const both: readonly HandlerDeclaration[] = [onPlaced, onPaid]

describe('registering the same twice', () => {
  test('the same instance is refused, also while the first call is still under way', async () => {
    await using bus = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    const first = bus.register(billing)
    await expect(bus.register(billing)).rejects.toThrow('unregister it first')
    await first
    await expect(bus.register(billing)).rejects.toThrow('unregister it first')
    await bus.publish(placed())
    await bus.idle()
    expect(billing.ran).toEqual(['placed'])
  })

  test('a second instance of the same name is refused, because the two would share the messages', async () => {
    await using bus = newBus()
    const Billing = handlerClass({ name: 'billing' })
    await bus.register(new Billing())
    const second = new Billing()
    await expect(bus.register(second)).rejects.toThrow(
      `group 'shop.billing' belongs to another registered Billing, and the two would share its messages`,
    )
    expect(bus.handlers.isRegistered(second)).toBe(false)
    await bus.register(second, { name: 'billing-2' })
    await bus.publish(placed())
    await bus.idle()
    expect(second.ran).toEqual(['placed'])
  })

  test('instances that are to compete say so by their group', async () => {
    await using bus = newBus()
    const Billing = handlerClass()
    const workers = [new Billing(), new Billing()]
    for (const worker of workers) await bus.register(worker, { group: 'billing', concurrency: 1 })
    await bus.publish([placed(), placed(), placed(), placed()])
    await bus.idle()
    expect(workers.flatMap(({ ran }) => ran)).toHaveLength(4)
  })

  test('two instances of a handler of one event, without a name, each get every message', async () => {
    await using bus = newBus()
    const Mail = handlerClass(undefined, [onPlaced])
    const both = [new Mail(), new Mail()]
    for (const each of both) await bus.register(each)
    await bus.publish(placed())
    await bus.idle()
    expect(both.map(({ ran }) => ran)).toEqual([['placed'], ['placed']])
  })

  test('an unregistered instance handles nothing more, and can be registered again', async () => {
    await using bus = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    const registration = await bus.register(billing)
    await registration.unregister()
    expect(bus.handlers.registrations()).toEqual([])
    expect(bus.getRegisteredEventTypes()).toEqual([])
    await using again = await bus.register(billing)
    await registration.unregister()
    expect(bus.handlers.registrations()).toEqual([again])
    await bus.publish(paid())
    await bus.idle()
    expect(billing.ran).toEqual(['paid'])
  })
})

describe('the registry of a bus', () => {
  test('tells the types of its registered handlers; another bus knows nothing of them', async () => {
    await using bus = newBus()
    await using other = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    await bus.register(billing)
    await bus.subscribe('order.*', () => {})
    expect(bus.handlers.getRegisteredEventTypes()).toEqual(['Paid', 'Placed'])
    expect(bus.getRegisteredEventTypes()).toEqual(['Paid', 'Placed', 'order.*'])
    expect(other.handlers.getRegisteredEventTypes()).toEqual([])
    await other.register(billing)
    await other.publish(placed())
    await other.idle()
    expect(billing.ran).toEqual(['placed'])
  })

  test('attaches all methods or none', async () => {
    await using bus = newBus()
    await bus.subscribe(Ship, () => {})
    const onShip = { kind: 'command', selectors: [Ship], method: 'paid' } as const
    const handler = new (handlerClass({ name: 'x' }, [onPlaced, onShip]))()
    await expect(bus.register(handler)).rejects.toThrow(`command 'Ship' has a handler on this bus already`)
    expect(bus.subscriptions().map(({ group }) => group)).toEqual(['command.Ship'])
    expect(bus.handlers.isRegistered(handler)).toBe(false)
    await bus.register(new (handlerClass({ name: 'x' }))())
  })

  test('works on a bus that is started later', async () => {
    await using bus = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    await bus.register(billing)
    await bus.start()
    await bus.publish(placed())
    await bus.idle()
    expect(billing.ran).toEqual(['placed'])
  })
})

describe('groups and options of a handler object', () => {
  test('without a stable name several events are refused, whatever the class is called', async () => {
    await using bus = newBus()
    await expect(bus.register(new (handlerClass())())).rejects.toThrow(
      `Billing handles 2 events and has no name that stays the same when classes are renamed or minified`,
    )
    await expect(bus.register(new (handlerClass())(), { broadcast: true })).resolves.toBeDefined()
  })

  test('a class without a name is as good, as minifiers make them', async () => {
    await using bus = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    Object.defineProperty(billing.constructor, 'name', { value: '' })
    const { handlers } = await bus.register(billing)
    expect(handlers.map(({ handler, group }) => [handler, group])).toEqual([
      ['billing.placed', 'shop.billing'],
      ['billing.paid', 'shop.billing'],
    ])
  })

  test('options of the call win over those of the class', async () => {
    await using bus = newBus()
    const Billing = handlerClass({ name: 'billing', group: 'of-the-class', concurrency: 2 })
    const { handlers } = await bus.register(new Billing(), { group: 'of-the-call' })
    expect(new Set(handlers.map(({ group }) => group))).toEqual(new Set(['of-the-call']))
  })

  test("a method with options of its own takes the handler's name, and its own, for its group", async () => {
    await using bus = newBus()
    const own = { ...onPaid, options: { concurrency: 1 } }
    const { handlers } = await bus.register(new (handlerClass({ name: 'billing' }, [onPlaced, own]))())
    expect(handlers.map(({ group }) => group)).toEqual(['shop.billing', 'shop.billing.paid'])
  })

  test('two methods for one event in one place in line are refused', async () => {
    await using bus = newBus()
    const again = { ...onPlaced, method: 'paid' }
    await expect(bus.register(new (handlerClass({ name: 'x' }, [onPlaced, again]))())).rejects.toThrow(
      `group 'shop.x' has two handlers for 'Placed'`,
    )
  })

  test('the method that is called is the one that the instance has when a message comes', async () => {
    await using bus = newBus()
    const billing = new (handlerClass({ name: 'billing' }))()
    await bus.register(billing)
    billing.placed = () => void billing.ran.push('spy')
    await bus.publish(placed())
    await bus.idle()
    expect(billing.ran).toEqual(['spy'])
  })
})

describe('what cannot be registered', () => {
  test.each([
    ['a class', class Billing {}, 'register takes an instance: register(new Billing())'],
    ['an object that declares nothing', new (class Plain {})(), 'Plain declares no handler: decorate its methods'],
    ['one whose method is missing', { eventType: Placed }, 'has no method handle for what it is to handle'],
    ['one without a prototype', Object.create(null) as object, `an object without a class's name declares no handler`],
  ])('%s', async (_, instance, text) => {
    await using bus = newBus()
    await expect(bus.register(instance)).rejects.toThrow(text)
  })

  test('@HandleEvent() in a class that names no event, and twice in one that does', async () => {
    await using bus = newBus()
    const taker = { kind: 'event', selectors: undefined, method: 'placed' } as const
    const nothing = new (handlerClass(undefined, [taker]))()
    await expect(bus.register(nothing)).rejects.toThrow('@HandleEvent() of Billing.placed does not say which event')
    const ofClass = { kind: 'event', selectors: [Placed], method: undefined } as const
    const twice = new (handlerClass(undefined, [ofClass, taker, { ...taker, method: 'paid' }]))()
    await expect(bus.register(twice)).rejects.toThrow('two methods for the event of its class, placed and paid')
  })
})

describe('BaseEventHandler', () => {
  class Receipts extends BaseEventHandler<typeof Placed> {
    override readonly eventType = Placed
    readonly ran: string[] = []
    handle(): void {
      this.ran.push('handled')
    }
  }

  test('handles the event that it names', async () => {
    await using bus = newBus()
    const receipts = new Receipts()
    const { handlers } = await bus.register(receipts)
    await bus.publish([placed(), paid()])
    await bus.idle()
    expect(receipts.ran).toEqual(['handled'])
    expect(handlers).toEqual([{ kind: 'event', handler: 'Receipts.handle', types: ['Placed'], group: 'shop.Placed' }])
  })

  test('handles an event once that is named above the class as well', async () => {
    await using bus = newBus()
    class Twice extends Receipts {}
    declareHandler(Twice, { kind: 'event', selectors: [Placed], method: undefined })
    const twice = new Twice()
    await bus.register(twice)
    await bus.publish(placed())
    await bus.idle()
    expect(twice.ran).toEqual(['handled'])
  })
})
