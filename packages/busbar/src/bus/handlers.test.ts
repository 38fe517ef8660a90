import { expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import type { Message } from '../message/index.ts'
import { EventBus } from './bus.ts'
import { keepingLogger, memoryBus, QUICK_RETRY } from './fixtures/bus.ts'
import { settled } from './fixtures/clock.ts'
import { OrderPaid, OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { latch } from './fixtures/waiting.ts'
import type { HandlerContext } from './handler.ts'
import { on } from './selection.ts'

test('a handler that throws, at once or later, disturbs neither the publisher nor the other handlers', async () => {
  await using bus = await memoryBus({ retry: QUICK_RETRY })
  const handled: string[] = []
  await bus.subscribe(Ticked, () => {
    throw new Error('at once')
  })
  await bus.subscribe(Ticked, () => Promise.reject(new Error('later')))
  await bus.subscribe(Ticked, () => {
    // eslint-disable-next-line typescript/only-throw-error
    throw undefined
  })
  const sound = await bus.subscribe(Ticked, (event) => void handled.push(`n = ${event.data.n}`), { group: 'sound' })
  await bus.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 2 })])
  await bus.idle()
  expect(handled).toEqual(['n = 1', 'n = 2'])
  expect(sound.stats()).toMatchObject({ handled: 2, failed: 0 })
  expect(await bus.deadLetters.count()).toBe(6)
})

test('a logger that throws stops nothing: what failed is put aside all the same', async () => {
  const broken = (): never => {
    throw new Error('log is full')
  }
  await using bus = await memoryBus({
    logger: { debug: broken, info: broken, warn: broken, error: broken },
    retry: QUICK_RETRY,
  })
  await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(await bus.deadLetters.count()).toBe(1)
})

test('each handler has its own retries: one that fails does not make the others run again', async () => {
  await using bus = await memoryBus({ retry: QUICK_RETRY })
  const runs = { flaky: 0, sound: 0 }
  await bus.subscribe(Ticked, () => {
    if (++runs.flaky < 4) throw new Error('not yet')
  })
  await bus.subscribe(Ticked, () => void runs.sound++)
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(runs).toEqual({ flaky: 4, sound: 1 })
})

test('a thenable that is no promise is waited for, also when it never calls back but throws', async () => {
  await using bus = await memoryBus()
  const odd = (settle: (resolve: (value: unknown) => void, reject: (error: Error) => void) => void) => ({
    // eslint-disable-next-line unicorn/no-thenable
    then: settle,
  })
  const good = await bus.subscribe(Ticked, () => odd((resolve) => setTimeout(resolve, 1)))
  const bad = await bus.subscribe(Ticked, () => odd((_, reject) => reject(new Error('no'))))
  const broken = await bus.subscribe(Ticked, () =>
    odd(() => {
      throw new Error('then threw')
    }),
  )
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(good.stats()).toMatchObject({ handled: 1, failed: 0 })
  for (const each of [bad, broken]) expect(each.stats()).toMatchObject({ handled: 0, failed: 1, deadLettered: 1 })
})

test('an object with handle is a handler, and keeps its this', async () => {
  await using bus = await memoryBus()
  class Billing {
    readonly seen: string[] = []
    handle(event: Message<{ orderId: string }>): void {
      this.seen.push(event.data.orderId)
      throw new Error('shown with its name')
    }
  }
  const billing = new Billing()
  const subscription = await bus.subscribe(OrderPlaced, billing)
  await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
  await bus.idle()
  expect(billing.seen).toEqual(['o-1'])
  expect(subscription.stats().handler).toBe('Billing')
  const [letter] = await bus.deadLetters.list()
  expect(letter?.failure.handler).toBe('Billing')
})

test('handlers are looked up after the middleware: a changed type goes to the handler of the new one', async () => {
  await using bus = await memoryBus({
    middleware: [
      {
        consume: ({ message }, next) =>
          next(
            message.type === 'order.paid'
              ? { ...message, type: 'order.placed', data: { orderId: 'changed' } }
              : message,
          ),
      },
    ],
  })
  const seen: unknown[] = []
  await bus.subscribe(
    [on(OrderPlaced, (event) => void seen.push(event.data)), on(OrderPaid, () => void seen.push('paid'))],
    {
      group: 'g',
    },
  )
  await bus.publish(OrderPaid.create({ orderId: 'o-1' }))
  await bus.idle()
  expect(seen).toEqual([{ orderId: 'changed', total: 0 }])
})

test('middleware added later takes effect at once, inside of what is there', async () => {
  await using bus = await memoryBus()
  const order: string[] = []
  const tell = (name: string) => ({
    publish: (message: Message, next: (message: Message) => Promise<void>) => {
      order.push(`${name} publish`)
      return next(message)
    },
    consume: (incoming: { message: Message }, next: (message: Message) => Promise<unknown>) => {
      order.push(`${name} consume`)
      return next(incoming.message)
    },
  })
  await bus.subscribe(Ticked, () => void order.push('handler'))
  bus.use(tell('outer')).use(tell('inner'))
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(order).toEqual(['outer publish', 'inner publish', 'outer consume', 'inner consume', 'handler'])
})

test('middleware can catch a failure, and time and repeat a run', async () => {
  await using bus = await memoryBus({
    middleware: [
      {
        async consume(incoming, next) {
          try {
            return await next(incoming.message)
          } catch {
            return next(incoming.message)
          }
        },
      },
    ],
  })
  let runs = 0
  const subscription = await bus.subscribe(Ticked, () => {
    if (++runs === 1) throw new Error('once')
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(runs).toBe(2)
  expect(subscription.stats()).toMatchObject({ handled: 1, failed: 0 })
})

test('the context says which message, run, group and topic it is', async () => {
  const logger = keepingLogger()
  await using bus = await memoryBus({ retry: QUICK_RETRY, logger })
  const seen: HandlerContext[] = []
  await bus.subscribe(
    OrderPlaced,
    (event, context) => {
      expect(context.message).toBe(event)
      seen.push(context)
      if (seen.length < 3) throw new Error('again')
    },
    { group: 'g' },
  )
  await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
  await bus.idle()
  expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
  expect(seen[0]).toMatchObject({ group: 'g', topic: 'events' })
  expect(seen[0]?.signal.aborted).toBe(false)
  seen[0]?.logger.info({ n: 1 }, 'from a handler')
  expect(logger.lines.at(-1)).toEqual({ level: 'info', fields: { n: 1 }, text: 'from a handler' })
})

test('which types have handlers is known for each bus by itself', async () => {
  await using one = await memoryBus()
  await using two = await memoryBus()
  const subscription = await one.subscribe(OrderPlaced, () => {})
  await one.subscribe('order.*', () => {})
  await two.subscribe(Ticked, () => {})
  expect(one.getRegisteredEventTypes()).toEqual(['order.*', 'order.placed'])
  expect(two.getRegisteredEventTypes()).toEqual(['Ticked'])
  await subscription.unsubscribe()
  expect(one.getRegisteredEventTypes()).toEqual(['order.*'])
})

test('patterns and the star get what they match', async () => {
  await using bus = await memoryBus({ contracts: [OrderPlaced, OrderPaid, Ticked] })
  const seen: Record<string, string[]> = { all: [], order: [] }
  await bus.subscribe('*', (event) => void seen.all?.push(event.type))
  const order = await bus.subscribe('order.*', (event) => void seen.order?.push(event.type))
  await bus.publish([
    OrderPlaced.create({ orderId: 'o-1' }),
    Ticked.create({ n: 1 }),
    OrderPaid.create({ orderId: 'o-1' }),
  ])
  await bus.idle()
  expect(seen).toEqual({ all: ['order.placed', 'Ticked', 'order.paid'], order: ['order.placed', 'order.paid'] })
  expect(order.stats()).toMatchObject({ handled: 2, skipped: 1 })
})

test('after unsubscribe nothing comes any more', async () => {
  await using bus = await memoryBus()
  let handled = 0
  const subscription = await bus.subscribe(Ticked, () => void handled++)
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  await subscription.unsubscribe()
  await subscription.unsubscribe()
  await bus.publish(Ticked.create({ n: 2 }))
  await bus.idle()
  expect(handled).toBe(1)
  expect(bus.subscriptions()).toEqual([])
})

test('a subscription that is unsubscribed while the bus is starting it does not stay behind in the broker', async () => {
  const broker = new MemoryBroker()
  const go = latch()
  const subscribe = broker.subscribe.bind(broker)
  broker.subscribe = async (...args) => {
    await go.opened
    return subscribe(...args)
  }
  await using bus = new EventBus(broker)
  const first = await bus.subscribe(Ticked, () => {})
  const second = await bus.subscribe(Ticked, () => {})
  const starting = bus.start()
  await settled()
  await first.unsubscribe()
  await second.unsubscribe()
  go.open()
  await starting
  expect(bus.subscriptions()).toEqual([])
  // Refused as long as a group has members.
  await broker.deleteGroup(first.group)
  await broker.deleteGroup(second.group)
})
