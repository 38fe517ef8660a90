import { describe, expect, test } from 'vitest'

import { UnsupportedError } from '../broker/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { ConfigurationError } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { settled } from './fixtures/clock.ts'
import { GetTotal, OrderPaid, OrderPlaced, PlaceOrder, Ticked } from './fixtures/contracts.ts'
import type { SubscribeOptions } from './options.ts'
import { on } from './selection.ts'

describe('groups', () => {
  test('members of a group compete, also of different buses on one broker; other groups get everything', async () => {
    const broker = new MemoryBroker()
    await using one = await memoryBus({}, broker)
    await using two = await memoryBus({}, broker)
    const seen: Record<string, number[]> = { one: [], two: [], audit: [] }
    const keep = (name: string) => (event: { data: { n: number } }) => {
      seen[name]?.push(event.data.n)
      return settled(1)
    }
    await one.subscribe(Ticked, keep('one'), { group: 'workers', concurrency: 1, prefetch: 1 })
    await two.subscribe(Ticked, keep('two'), { group: 'workers', concurrency: 1, prefetch: 1 })
    await one.subscribe(Ticked, keep('audit'), { group: 'audit' })
    const numbers = Array.from({ length: 40 }, (_, n) => n)
    await one.publish(numbers.map((n) => Ticked.create({ n })))
    await one.idle()
    await two.idle()
    expect([...seen.one!, ...seen.two!].toSorted((a, b) => a - b)).toEqual(numbers)
    expect(seen.one!.length).toBeGreaterThan(0)
    expect(seen.two!.length).toBeGreaterThan(0)
    expect(seen.audit).toEqual(numbers)
  })

  test('a key stays in order though two members share the group', async () => {
    await using bus = await memoryBus()
    const seen: Record<string, number[]> = {}
    const handler = async ({ data }: { data: { orderId: string; total: number } }): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
      ;(seen[data.orderId] ??= []).push(data.total)
    }
    await bus.subscribe(OrderPlaced, handler, { group: 'g', prefetch: 10 })
    await bus.subscribe(OrderPlaced, handler, { group: 'g', prefetch: 10 })
    const totals = Array.from({ length: 25 }, (_, n) => n)
    await bus.publish(
      totals.flatMap((total) => ['a', 'b', 'c'].map((orderId) => OrderPlaced.create({ orderId, total }))),
    )
    await bus.idle()
    expect(seen).toEqual({ a: totals, b: totals, c: totals })
  })

  test('a broadcast subscription gets its own copy of everything, in every bus', async () => {
    const broker = new MemoryBroker()
    await using one = await memoryBus({}, broker)
    await using two = await memoryBus({}, broker)
    const seen = { one: 0, two: 0 }
    await one.subscribe(Ticked, () => void seen.one++, { broadcast: true })
    const second = await two.subscribe(Ticked, () => void seen.two++, { broadcast: true })
    await one.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 2 })])
    await one.idle()
    await two.idle()
    expect(seen).toEqual({ one: 2, two: 2 })
    await second.unsubscribe()
    await one.publish(Ticked.create({ n: 3 }))
    await two.subscribe(Ticked, () => void seen.two++, { broadcast: true })
    await one.idle()
    await two.idle()
    expect(seen).toEqual({ one: 3, two: 2 })
  })

  test('without a name a group is called after the application and the selector, numbered where that is taken', async () => {
    await using bus = await memoryBus({ source: 'shop' })
    const first = await bus.subscribe(OrderPlaced, () => {})
    const second = await bus.subscribe(OrderPlaced, () => {})
    const pattern = await bus.subscribe('order.*', () => {})
    const everywhere = await bus.subscribe([OrderPlaced, OrderPaid], () => {}, { broadcast: true })
    expect([first, second, pattern, everywhere].map(({ group }) => group)).toEqual([
      'shop.order.placed',
      'shop.order.placed#2',
      'shop.order.*',
      'shop.order.placed+order.paid',
    ])
    await first.unsubscribe()
    expect((await bus.subscribe(OrderPlaced, () => {})).group).toBe('shop.order.placed')
  })

  test('several handlers can share one group and so one place in line', async () => {
    await using bus = await memoryBus()
    const seen: string[] = []
    await bus.subscribe(
      [
        on(OrderPlaced, ({ data }) => void seen.push(`placed ${data.orderId}`)),
        on(OrderPaid, ({ data }) => void seen.push(`paid ${data.orderId}`)),
        on('order.*', ({ type }) => void seen.push(`other ${type}`)),
      ],
      { group: 'g' },
    )
    await bus.publish([OrderPlaced.create({ orderId: 'a' }), OrderPaid.create({ orderId: 'a' })])
    await bus.idle()
    expect(seen).toEqual(['placed a', 'paid a'])
  })

  test('a subscription cycle leaves nothing behind on the bus', async () => {
    await using bus = await memoryBus()
    for (let n = 0; n < 100; n++) {
      const subscription = await bus.subscribe(Ticked, () => {})
      await subscription.unsubscribe()
    }
    expect(bus.subscriptions()).toEqual([])
    expect(bus.getRegisteredEventTypes()).toEqual([])
    expect((await bus.metrics()).broker.groups.map(({ group }) => group)).toEqual(['app.Ticked'])
  })
})

describe('commands', () => {
  test('are handled by their one handler', async () => {
    await using bus = await memoryBus()
    const seen: string[] = []
    await bus.subscribe(PlaceOrder, ({ data }) => void seen.push(data.orderId))
    await bus.send(PlaceOrder.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(seen).toEqual(['o-1'])
  })

  test('a second handler on the bus is refused, until the first is gone', async () => {
    await using bus = await memoryBus()
    const first = await bus.subscribe(PlaceOrder, () => {})
    const second = bus.subscribe(PlaceOrder, () => {})
    await expect(second).rejects.toThrow(
      "command 'PlaceOrder' has a handler on this bus already, and it can have only one",
    )
    await first.unsubscribe()
    await expect(bus.subscribe(PlaceOrder, () => {})).resolves.toBeDefined()
  })

  test('handlers in several buses compete: a command is handled once', async () => {
    const broker = new MemoryBroker()
    await using one = await memoryBus({}, broker)
    await using two = await memoryBus({}, broker)
    let handled = 0
    await one.subscribe(PlaceOrder, () => void handled++)
    await two.subscribe(PlaceOrder, () => void handled++)
    for (let n = 0; n < 10; n++) await one.send(PlaceOrder.create({ orderId: `o-${n}` }))
    await one.idle()
    await two.idle()
    expect(handled).toBe(10)
  })

  test('one that nobody handles is refused where nobody else can; a handler on another bus of the broker counts', async () => {
    const broker = new MemoryBroker()
    await using bus = await memoryBus({}, broker)
    const command = PlaceOrder.create({ orderId: 'o-1' })
    await expect(bus.send(command)).rejects.toThrow(
      "command 'PlaceOrder' has no handler on this bus: subscribe one first",
    )
    await using other = await memoryBus({}, broker)
    let handled = 0
    await other.subscribe(PlaceOrder, () => void handled++)
    await bus.send(command)
    await other.idle()
    expect(handled).toBe(1)
  })

  test('invalid data is refused with nothing sent', async () => {
    await using bus = await memoryBus()
    let handled = 0
    await bus.subscribe(PlaceOrder, () => void handled++)
    await expect(bus.send(PlaceOrder.create({ orderId: 1 as never }))).rejects.toThrow(/^PlaceOrder .*orderId/)
    await bus.idle()
    expect(handled).toBe(0)
  })
})

describe('what makes no sense is refused, in words that say what would be right', () => {
  const cases: readonly (readonly [string, SubscribeOptions, RegExp])[] = [
    ['concurrency 0', { concurrency: 0 }, /'concurrency' must be a whole number from 1, not 0/],
    ['half a prefetch', { prefetch: 1.5 }, /'prefetch' must be a whole number from 1, not 1\.5/],
    [
      'less prefetch than concurrency',
      { prefetch: 2, concurrency: 3 },
      /'prefetch' \(2\) must be at least 'concurrency' \(3\)/,
    ],
    ['no ageing', { ageing: 0 }, /'ageing' must be more than 0 milliseconds, not 0/],
    ['an empty group', { group: ' ' }, /'group' is empty/],
    ['a group that broadcasts', { group: 'g', broadcast: true }, /'group' and 'broadcast' exclude each other/],
  ]
  for (const [name, options, text] of cases) {
    test(`refused: ${name}`, async () => {
      await using bus = await memoryBus()
      const subscribing = bus.subscribe(Ticked, () => {}, options)
      await expect(subscribing).rejects.toThrow(ConfigurationError)
      await expect(bus.subscribe(Ticked, () => {}, options)).rejects.toThrow(text)
      expect(bus.subscriptions()).toEqual([])
    })
  }

  test('the defaults of the bus are checked the same way', async () => {
    await using bus = await memoryBus({ concurrency: 20, prefetch: 10 })
    await expect(bus.subscribe(Ticked, () => {})).rejects.toThrow(/'prefetch' \(10\)/)
    await using small = await memoryBus({ prefetch: 3 })
    await expect(small.subscribe(Ticked, () => {})).resolves.toBeDefined()
  })

  test('nothing, what is no selector and what is no handler', async () => {
    await using bus = await memoryBus()
    await expect(bus.subscribe([], () => {})).rejects.toThrow(/nothing to subscribe to/)
    for (const selector of ['', 'or*er', '*.placed']) {
      await expect(bus.subscribe(selector, () => {})).rejects.toThrow(/is not a pattern/)
    }
    for (const selector of [undefined, {}, class {}, [null]] as unknown[]) {
      await expect(bus.subscribe(selector as string, () => {})).rejects.toThrow(ConfigurationError)
    }
    for (const handler of [undefined, {}, 'handle']) {
      await expect(bus.subscribe(Ticked, handler as never)).rejects.toThrow(
        /a handler is a function, or an object with/,
      )
    }
  })

  test('several types without a group, and two handlers of one type in a group', async () => {
    await using bus = await memoryBus()
    await expect(bus.subscribe([OrderPlaced, OrderPaid], () => {})).rejects.toThrow(/needs a 'group'/)
    const twice = [on(Ticked, () => {}), on(Ticked, () => {})]
    await expect(bus.subscribe(twice, { group: 'g' })).rejects.toThrow(/two handlers for 'Ticked'/)
  })

  test('a group of which another member is subscribed to something else', async () => {
    await using bus = await memoryBus()
    await bus.subscribe(OrderPlaced, () => {}, { group: 'g' })
    await expect(bus.subscribe(Ticked, () => {}, { group: 'g' })).rejects.toThrow(
      /group 'g' is subscribed to \["order\.placed"\] already and would now be to \["Ticked"\].*bus\.subscribe\(\[on/,
    )
  })

  test('a group or broadcast for commands and queries, and others beside them', async () => {
    await using bus = await memoryBus()
    await expect(bus.subscribe(PlaceOrder, () => {}, { group: 'g' })).rejects.toThrow(/its group is fixed/)
    await expect(bus.subscribe(GetTotal, () => ({ total: 1 }), { broadcast: true })).rejects.toThrow(
      /its group is fixed/,
    )
    await expect(bus.subscribe([PlaceOrder, Ticked], () => {}, { group: 'g' })).rejects.toThrow(/subscribe it alone/)
  })

  test('a message of the wrong kind', async () => {
    await using bus = await memoryBus()
    await expect(bus.send(Ticked.create({ n: 1 }))).rejects.toThrow(/send takes a command, and Ticked is an event/)
    await expect(bus.send(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow(/GetTotal is a query/)
    await expect(bus.request(PlaceOrder.create({ orderId: 'o-1' }) as never)).rejects.toThrow(/request takes a query/)
  })

  test('what the broker cannot do', async () => {
    await using bus = await memoryBus()
    await expect(bus.subscribe(Ticked, () => {}, { from: 'earliest' })).rejects.toThrow(UnsupportedError)
    const broker = new MemoryBroker()
    Object.assign(broker.capabilities, { groups: false, park: false })
    await using poor = await memoryBus({}, broker)
    await expect(poor.subscribe(Ticked, () => {})).rejects.toThrow(
      /does not support groups: subscribe with \{ broadcast: true \}/,
    )
    const parking = poor.subscribe(Ticked, () => {}, { broadcast: true, onFailure: 'park' })
    await expect(parking).rejects.toThrow(/onFailure: 'park'/)
  })

  test('a subscription that the broker refuses leaves its name free', async () => {
    const broker = new MemoryBroker()
    await using bus = await memoryBus({}, broker)
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = () => Promise.reject(new Error('no connection'))
    await expect(bus.subscribe(Ticked, () => {})).rejects.toThrow('no connection')
    broker.subscribe = subscribe
    expect((await bus.subscribe(Ticked, () => {})).group).toBe('app.Ticked')
  })
})
