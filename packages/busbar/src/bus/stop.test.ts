import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { EventBus } from './bus.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { Checked, OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { SpyBroker } from './fixtures/spy-broker.ts'
import { latch, until } from './fixtures/waiting.ts'

describe('stop', () => {
  test('waits for what runs, begins nothing more, and gives the rest back', async () => {
    const broker = new MemoryBroker()
    // The broker outlives the bus here, to see what it was given back.
    const end = broker.stop.bind(broker)
    broker.stop = () => Promise.resolve()
    const bus = await memoryBus({}, broker)
    const release = latch()
    const seen: number[] = []
    const subscription = await bus.subscribe(
      Ticked,
      async ({ data }) => {
        seen.push(data.n)
        await release.opened
      },
      { concurrency: 1, prefetch: 3, group: 'g' },
    )
    await bus.publish([1, 2, 3, 4, 5].map((n) => Ticked.create({ n })))
    await until(() => seen.length === 1, 'the first to begin')
    const stopping = bus.stop()
    let stopped = false
    void stopping.then(() => (stopped = true))
    await settled()
    expect(stopped).toBe(false)
    release.open()
    await stopping
    expect(seen).toEqual([1])
    expect(subscription.stats()).toMatchObject({ handled: 1, running: 0, waiting: 0 })
    expect((await broker.metrics()).groups[0]).toMatchObject({ lag: 4, inFlight: 0 })
    const again = await memoryBus({}, broker)
    await again.subscribe(Ticked, ({ data }, { attempt }) => void seen.push(data.n * 10 + attempt), { group: 'g' })
    await again.idle()
    expect(seen).toEqual([1, 21, 31, 41, 51])
    await end()
  })

  test('by its deadline gives back what still runs, with its signal aborted and its run counted; its late end does no harm', async () => {
    const broker = new MemoryBroker()
    const end = broker.stop.bind(broker)
    broker.stop = () => Promise.resolve()
    const bus = await memoryBus({}, broker)
    const release = latch()
    let signal: AbortSignal | undefined
    let finished = false
    const subscription = await bus.subscribe(
      Ticked,
      async (_event, context) => {
        signal = context.signal
        await release.opened
        finished = true
      },
      { group: 'g' },
    )
    await bus.publish(Ticked.create({ n: 1 }))
    await until(() => signal !== undefined, 'the handler to begin')
    await bus.stop({ deadline: 1 })
    expect(signal?.aborted).toBe(true)
    const again = await memoryBus({}, broker)
    const attempts: number[] = []
    await again.subscribe(Ticked, (_event, { attempt }) => void attempts.push(attempt), { group: 'g' })
    await again.idle()
    expect(attempts).toEqual([2])
    release.open()
    await until(() => finished, 'the late handler to end')
    await settled()
    expect((await broker.metrics()).groups[0]).toMatchObject({ lag: 0, inFlight: 0 })
    expect(subscription.stats().deadLettered).toBe(0)
    await end()
  })

  test('a message that waits for its retry is given back at once, with its runs counted', async () => {
    const clock = handClock()
    const broker = new MemoryBroker({ clock })
    broker.stop = () => Promise.resolve()
    const bus = await memoryBus({ clock, retry: { retries: 5, minDelay: 60_000, maxDelay: 60_000 } }, broker)
    await bus.subscribe(Ticked, () => Promise.reject(new Error('no')), { group: 'g' })
    await bus.publish(Ticked.create({ n: 1 }))
    await settled()
    await bus.stop()
    const again = await memoryBus({ clock }, broker)
    const attempts: number[] = []
    await again.subscribe(Ticked, (_event, { attempt }) => void attempts.push(attempt), { group: 'g' })
    await again.idle()
    expect(attempts).toEqual([2])
  })

  test('what a running handler publishes still goes out', async () => {
    const broker = new SpyBroker()
    const bus = await memoryBus({}, broker)
    const release = latch()
    let begun = false
    await bus.subscribe(Ticked, async (_event, context) => {
      begun = true
      await release.opened
      await context.publish(OrderPlaced.create({ orderId: 'last' }))
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await until(() => begun, 'the handler to begin')
    const stopping = bus.stop()
    release.open()
    await stopping
    expect(broker.sent.at(-1)).toEqual([{ orderId: 'last' }])
    expect(bus.subscriptions()).toEqual([])
  })

  test('what is still being validated or sent is waited for', async () => {
    const broker = new SpyBroker()
    const bus = await memoryBus({}, broker)
    broker.before = () => settled()
    const publishing = [bus.publish(Checked.create({ n: 0 })), bus.publish(Ticked.create({ n: 1 }))]
    await bus.stop()
    await expect(Promise.all(publishing)).resolves.toEqual([undefined, undefined])
    expect(broker.sent.flat()).toHaveLength(2)
  })

  test('afterwards nothing is done any more, and every way in says so', async () => {
    const bus = await memoryBus()
    await bus.stop()
    await bus.stop()
    const text = 'the bus was stopped; nothing was done'
    await expect(bus.publish(Ticked.create({ n: 1 }))).rejects.toThrow(text)
    await expect(bus.publish([Ticked.create({ n: 1 })])).rejects.toThrow(text)
    await expect(bus.subscribe(Ticked, () => {})).rejects.toThrow(text)
    await expect(bus.start()).rejects.toThrow(text)
    expect((await bus.health()).broker.error).toBe('the bus was stopped')
  })

  test('a bus that was never started can be stopped', async () => {
    const bus = new EventBus(new MemoryBroker())
    await bus.subscribe(Ticked, () => {})
    await bus.stop()
    await expect(bus.publish(Ticked.create({ n: 1 }))).rejects.toThrow('the bus was stopped')
  })

  test('the impatient one wins: a stop by its deadline, though an unsubscribe has been waiting for longer', async () => {
    const bus = await memoryBus()
    const release = latch()
    let begun = false
    const subscription = await bus.subscribe(Ticked, () => {
      begun = true
      return release.opened
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await until(() => begun, 'the handler to begin')
    const unsubscribing = subscription.unsubscribe({ deadline: 600_000 })
    await bus.stop({ deadline: 1 })
    await unsubscribing
    expect(bus.subscriptions()).toEqual([])
    release.open()
  })
})

describe('start', () => {
  test('that failed can be made again, and subscribes each subscription once', async () => {
    const broker = new MemoryBroker()
    const bus = new EventBus(broker, { logger: keepingLogger() })
    const seen: string[] = []
    await bus.subscribe(Ticked, () => void seen.push('first'), { group: 'first' })
    await bus.subscribe(Ticked, () => void seen.push('second'), { group: 'second' })
    const subscribe = broker.subscribe.bind(broker)
    let reachable = false
    const subscribed: string[] = []
    broker.subscribe = async (spec, deliver) => {
      if (spec.group === 'second' && !reachable) throw new Error('no connection')
      subscribed.push(spec.group)
      return subscribe(spec, deliver)
    }
    await expect(bus.start()).rejects.toThrow('no connection')
    await expect(bus.publish(Ticked.create({ n: 0 }))).rejects.toThrow('no connection')
    reachable = true
    await bus.start()
    await bus.start()
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(seen.toSorted()).toEqual(['first', 'second'])
    expect(subscribed).toEqual(['first', 'second'])
    await bus.stop()
    expect((await broker.metrics()).groups.every(({ inFlight }) => inFlight === 0)).toBe(true)
  })
})

describe('health', () => {
  test('is up while the broker can be reached, and says why where it cannot', async () => {
    const broker = new MemoryBroker()
    const bus = new EventBus(broker)
    expect(await bus.health()).toMatchObject({
      status: 'down',
      broker: { name: 'memory', error: 'the bus was not started' },
    })
    await bus.start()
    await bus.subscribe(Ticked, function tick() {}, { group: 'g' })
    expect(await bus.health()).toMatchObject({
      status: 'up',
      broker: { name: 'memory', status: 'up' },
      subscriptions: [{ group: 'g', handler: 'tick', handled: 0, paused: false }],
    })
    broker.ping = () => Promise.reject(new Error('no answer from redis://user:hunter2@host'))
    expect(await bus.health()).toMatchObject({
      status: 'down',
      broker: { error: 'no answer from redis://user:***@host' },
    })
    await bus.stop()
  })
})

describe('idle', () => {
  test('waits for what handlers publish, and for retries and redeliveries', async () => {
    await using bus = await memoryBus({ retry: { retries: 1, minDelay: 5, redeliveries: [5] } })
    let runs = 0
    await bus.subscribe(Ticked, async ({ data }, context) => {
      if (data.n > 0) await context.publish(Ticked.create({ n: data.n - 1 }))
      if (data.n === 0 && ++runs < 4) throw new Error('not yet')
    })
    await bus.publish(Ticked.create({ n: 5 }))
    await bus.idle()
    expect(runs).toBe(4)
  })

  test('waits for a publish that is still in middleware, validation or the start of the bus', async () => {
    const bus = new EventBus(new MemoryBroker(), {
      middleware: [
        {
          publish: async (message, next) => {
            await new Promise((resolve) => setTimeout(resolve, 5))
            await next(message)
          },
        },
      ],
    })
    const seen: number[] = []
    await bus.subscribe(Checked, ({ data }) => void seen.push(data.n))
    void bus.publish(Checked.create({ n: 1 }))
    await bus.idle()
    expect(seen).toEqual([1])
    await bus.stop()
  })

  test('waits for broadcast subscriptions', async () => {
    await using bus = await memoryBus()
    let handled = 0
    await bus.subscribe(Ticked, () => settled(2).then(() => void handled++), { broadcast: true, concurrency: 1 })
    await bus.publish(Array.from({ length: 50 }, (_, n) => Ticked.create({ n })))
    await bus.idle()
    expect(handled).toBe(50)
  })

  test('does not wait for the groups of another bus on the broker, nor for what is not due', async () => {
    const broker = new MemoryBroker()
    const other = await memoryBus({}, broker)
    await other.subscribe(Ticked, () => new Promise(() => {}), { group: 'other' })
    await using bus = await memoryBus({}, broker)
    await bus.subscribe(Ticked, () => {}, { group: 'mine' })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.publish(Ticked.create({ n: 2 }), { delay: 3_600_000 })
    await bus.idle({ timeout: 10_000 })
    expect(bus.subscriptions()[0]).toMatchObject({ handled: 1 })
    await other.stop({ deadline: 0 })
  })

  test('is not taken in by a message that comes and goes while the broker is asked', async () => {
    const broker = new MemoryBroker()
    await using bus = await memoryBus({}, broker)
    let handled = false
    await bus.subscribe(Ticked, async () => {
      await settled()
      handled = true
    })
    const metrics = broker.metrics.bind(broker)
    broker.metrics = async () => {
      const before = await metrics()
      broker.metrics = metrics
      await bus.publish(Ticked.create({ n: 1 }))
      return before
    }
    await bus.idle()
    expect(handled).toBe(true)
  })

  test('after its timeout rejects and names what is not settled', async () => {
    const bus = await memoryBus()
    await bus.subscribe(Ticked, () => new Promise(() => {}), { group: 'stuck', concurrency: 1 })
    await bus.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 2 })])
    await expect(bus.idle({ timeout: 5 })).rejects.toThrow(
      "not idle after 5 ms: group 'stuck' has 1 running and 1 waiting; group 'stuck' has 2 to go on 'events'",
    )
    await bus.stop({ deadline: 0 })
  })
})
