import { describe, expect, test } from 'vitest'

import { type Outgoing, PublishError, UnsupportedError } from '../broker/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import {
  ConfigurationError,
  EncodeError,
  event,
  type Message,
  type Snapshot,
  typed,
  ValidationError,
} from '../message/index.ts'
import { EventBus } from './bus.ts'
import { memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { Checked, GetTotal, OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { SpyBroker } from './fixtures/spy-broker.ts'
import { latch, until } from './fixtures/waiting.ts'
import type { Middleware } from './middleware.ts'

describe('publish', () => {
  test('resolves without waiting for handlers', async () => {
    await using bus = await memoryBus()
    const release = latch()
    let begun = 0
    await bus.subscribe(Ticked, async () => {
      begun++
      await release.opened
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.publish(Ticked.create({ n: 2 }))
    await until(() => begun === 2, 'both handlers to begin')
    expect(bus.subscriptions()[0]).toMatchObject({ handled: 0, running: 2 })
    release.open()
    await bus.idle()
  })

  test('begins no handler before it returns', async () => {
    await using bus = await memoryBus()
    let handled = false
    await bus.subscribe(Ticked, () => {
      handled = true
    })
    const publishing = bus.publish(Ticked.create({ n: 1 }))
    expect(handled).toBe(false)
    await publishing
    await bus.idle()
    expect(handled).toBe(true)
  })

  test('on a bus that is not started it starts it, and what was subscribed before misses nothing', async () => {
    const broker = new MemoryBroker()
    const started = latch()
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = async (...args) => {
      await started.opened
      return subscribe(...args)
    }
    await using bus = new EventBus(broker)
    const seen: number[] = []
    await bus.subscribe(Ticked, (event) => void seen.push(event.data.n))
    const starting = bus.start()
    // By now the broker is started, and the subscription is not.
    await settled()
    const publishing = bus.publish(Ticked.create({ n: 1 }))
    await settled()
    started.open()
    await Promise.all([starting, publishing])
    await bus.idle()
    expect(seen).toEqual([1])
  })

  test('fills in the source, and keeps one that was given', async () => {
    await using bus = await memoryBus({ source: 'shop' })
    const seen: string[] = []
    await bus.subscribe(Ticked, (event) => void seen.push(event.source))
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.publish(Ticked.create({ n: 2 }, {}, { source: 'elsewhere' }))
    await bus.idle()
    expect(seen).toEqual(['shop', 'elsewhere'])
  })

  test('nothing of an empty array is sent, and it resolves, also with middleware', async () => {
    await using bus = await memoryBus({ middleware: [{ publish: (message, next) => next(message) }] })
    await expect(bus.publish([])).resolves.toBeUndefined()
    await using plain = await memoryBus()
    await expect(plain.publish([])).resolves.toBeUndefined()
  })

  test('what is no message is refused', async () => {
    await using bus = await memoryBus()
    for (const wrong of [undefined, null, 'Ticked', { n: 1 }, [{ n: 1 }]]) {
      await expect(bus.publish(wrong as never)).rejects.toThrow(/no message: make one with contract.create/)
    }
  })

  test('a query is refused: nobody would get the answer', async () => {
    await using bus = await memoryBus()
    await expect(bus.publish(GetTotal.create({ orderId: 'o-1' }))).rejects.toThrow(/use request/)
  })

  test('a strict bus refuses what has no contract; others send it unchecked', async () => {
    const { data, ...attributes } = { ...Ticked.create({ n: 1 }) }
    const unknown: Message = { ...attributes, type: 'Unknown', data }
    await using strict = await memoryBus({ strict: true })
    await expect(strict.publish(unknown)).rejects.toThrow(ConfigurationError)
    await expect(strict.publish(Ticked.create({ n: 1 }))).resolves.toBeUndefined()
    await using bus = await memoryBus()
    await expect(bus.publish(unknown)).resolves.toBeUndefined()
  })
})

describe('isolation', () => {
  test('no handler sees the publisher’s object, nor what another handler or an earlier run did to its own', async () => {
    await using bus = await memoryBus({ retry: { retries: 1, minDelay: 0 } })
    const Listed = event('Listed', typed<{ items: number[] }>())
    const seen: number[][] = []
    for (const group of ['a', 'b']) {
      await bus.subscribe(
        Listed,
        (message, { attempt }) => {
          seen.push([...message.data.items])
          message.data.items.push(99)
          if (attempt === 1) throw new Error('once')
        },
        { group },
      )
    }
    const data = { items: [1] }
    const publishing = bus.publish(Listed.create(data))
    data.items.push(2)
    await publishing
    await bus.idle()
    expect(seen).toEqual([[1], [1], [1], [1]])
    expect(data.items).toEqual([1, 2])
  })
})

describe('all or nothing before sending', () => {
  const slow: Middleware = {
    async publish(message, next) {
      await new Promise((resolve) => setTimeout(resolve, (message.data as { n: number }).n === 1 ? 5 : 0))
      await next(message)
    },
  }

  for (const [words, middleware] of [
    ['', []],
    [' through asynchronous middleware', [slow]],
  ] as const) {
    test(`one invalid message in an array sends none of them${words}`, async () => {
      const broker = new SpyBroker()
      await using bus = await memoryBus({ middleware }, broker)
      const bad = [OrderPlaced.create({ orderId: 'o-1' }), OrderPlaced.create({ orderId: 2 as never })]
      await expect(bus.publish(bad)).rejects.toThrow(ValidationError)
      await expect(bus.publish([Checked.create({ n: 1 }), Checked.create({ n: -1 })])).rejects.toThrow('is negative')
      await expect(bus.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 1n as never })])).rejects.toThrow(
        EncodeError,
      )
      expect(broker.batches).toEqual([])
    })

    test(`an array goes out in its order, in one batch${words}`, async () => {
      const broker = new SpyBroker()
      await using bus = await memoryBus({ middleware }, broker)
      await bus.publish([1, 2, 3, 4].map((n) => Checked.create({ n })))
      expect(broker.sent).toEqual([[1, 2, 3, 4].map((n) => ({ n }))])
    })
  }

  test('the error says which contract and which field', async () => {
    await using bus = await memoryBus()
    const refused = bus.publish(OrderPlaced.create({ orderId: 7 as never }))
    await expect(refused).rejects.toThrow(/^order\.placed \(version 1\) has invalid data: orderId: /)
  })
})

describe('a broker that fails', () => {
  test('rejects the publish with its error, and the next one goes through', async () => {
    const broker = new SpyBroker()
    await using bus = await memoryBus({}, broker)
    broker.before = () => {
      throw new Error('disk full')
    }
    await expect(bus.publish(Ticked.create({ n: 1 }))).rejects.toThrow('disk full')
    broker.before = () => {}
    await expect(bus.publish(Ticked.create({ n: 2 }))).resolves.toBeUndefined()
  })

  test('a partial failure rejects the array with a PublishError that says which, and only the promises concerned', async () => {
    const broker = new SpyBroker()
    await using bus = await memoryBus({}, broker)
    broker.before = (batch) => {
      const failed = batch.flatMap(({ message }, index) => {
        const { n } = (message.body as { value: { n: number } }).value
        return n < 0 ? [{ index, id: message.id, error: new Error(`no ${n}`) }] : []
      })
      if (failed.length > 0) throw new PublishError(failed, batch.length)
    }
    const array = [1, -2, 3, -4].map((n) => Ticked.create({ n }))
    const [first, single, many, last] = await Promise.allSettled([
      bus.publish(Ticked.create({ n: 1 })),
      bus.publish(Ticked.create({ n: -7 })),
      bus.publish(array),
      bus.publish([Ticked.create({ n: 2 })]),
    ])
    expect(broker.batches).toHaveLength(1)
    expect([first.status, last.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(single).toMatchObject({ status: 'rejected', reason: { message: 'no -7' } })
    const { reason } = many as PromiseRejectedResult
    expect(reason).toBeInstanceOf(PublishError)
    expect((reason as PublishError).failed.map(({ index, id }) => [index, id])).toEqual([
      [1, array[1]?.id],
      [3, array[3]?.id],
    ])
    expect((reason as PublishError).message).toContain('2 of 4 messages were not published')
  })
})

describe('batching', () => {
  test('concurrent publishes are one call of the broker, in the order of the calls', async () => {
    const broker = new SpyBroker()
    await using bus = await memoryBus({}, broker)
    await Promise.all(Array.from({ length: 500 }, (_, n) => bus.publish(Ticked.create({ n }))))
    expect(broker.batches.map((batch) => batch.length)).toEqual([500])
    expect(broker.sent[0]).toEqual(Array.from({ length: 500 }, (_, n) => ({ n })))
  })

  test('what is published while a batch is under way waits for it and goes together', async () => {
    const broker = new SpyBroker()
    await using bus = await memoryBus({}, broker)
    const release = latch()
    broker.before = () => release.opened
    const publishing = [bus.publish(Ticked.create({ n: 1 }))]
    await settled()
    for (const n of [2, 3, 4]) {
      publishing.push(bus.publish(Ticked.create({ n })))
      await settled()
    }
    expect(broker.sent).toEqual([[{ n: 1 }]])
    release.open()
    await Promise.all(publishing)
    expect(broker.sent).toEqual([[{ n: 1 }], [{ n: 2 }, { n: 3 }, { n: 4 }]])
  })

  test('a batch has a limit, and an array above it is confirmed as one', async () => {
    const broker = new SpyBroker()
    await using bus = await memoryBus({}, broker)
    const array = Array.from({ length: 2_500 }, (_, n) => Ticked.create({ n }))
    await bus.publish(array)
    expect(broker.batches.map((batch) => batch.length)).toEqual([1_000, 1_000, 500])
  })
})

describe('a broker that confirms at once', () => {
  /** Confirms as the memory broker does, unless it is told to fail. */
  class Quick extends MemoryBroker {
    readonly calls: unknown[][] = []
    failing: Error | undefined
    override publish(batch: readonly Outgoing[]): Promise<void> {
      this.calls.push(batch.map(({ message }) => ((message.body as Snapshot).value as { n: number }).n))
      return this.failing === undefined ? super.publish(batch) : Promise.reject(this.failing)
    }
  }

  test('is given each single message in the call, in the order of the calls, arrays among them', async () => {
    const broker = new Quick()
    await using bus = await memoryBus({}, broker)
    const seen: number[] = []
    await bus.subscribe(Ticked, (event) => void seen.push(event.data.n))
    const tick = (n: number): Message => Ticked.create({ n })
    await bus.publish(tick(0))
    const publishing = [
      bus.publish(tick(1)),
      bus.publish(tick(2)),
      bus.publish([tick(3), tick(4)]),
      bus.publish(tick(5)),
    ]
    expect(broker.calls).toEqual([[0], [1], [2]])
    await Promise.all(publishing)
    await bus.idle()
    expect(broker.calls.slice(3).flat()).toEqual([3, 4, 5])
    expect(seen).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('and fails later: the publisher is told why, and what was published meanwhile goes on', async () => {
    const broker = new Quick()
    await using bus = await memoryBus({}, broker)
    await bus.publish(Ticked.create({ n: 0 }))
    broker.failing = new Error('the disk is full')
    const refused = bus.publish(Ticked.create({ n: 1 }))
    broker.failing = undefined
    const waiting = bus.publish(Ticked.create({ n: 2 }))
    expect(broker.calls).toEqual([[0], [1]])
    await expect(refused).rejects.toThrow('the disk is full')
    await waiting
    expect(broker.calls).toEqual([[0], [1], [2]])
  })
})

describe('delay', () => {
  test('a delayed message is never early, by milliseconds and by a moment', async () => {
    const clock = handClock()
    await using bus = await memoryBus({ clock }, new MemoryBroker({ clock }))
    const seen: number[] = []
    await bus.subscribe(Ticked, (event) => void seen.push(event.data.n))
    await bus.publish(Ticked.create({ n: 1 }), { delay: 1_000 })
    await bus.publish(Ticked.create({ n: 2 }), { at: new Date(clock.now() + 500) })
    await bus.publish(Ticked.create({ n: 3 }), { delay: 0 })
    await clock.advance(499)
    expect(seen).toEqual([3])
    await clock.advance(1)
    expect(seen).toEqual([3, 2])
    await clock.advance(499)
    expect(seen).toEqual([3, 2])
    await clock.advance(1)
    expect(seen).toEqual([3, 2, 1])
  })

  test('what makes no sense is refused with the name of the option', async () => {
    await using bus = await memoryBus()
    const message = Ticked.create({ n: 1 })
    for (const delay of [-1, Number.NaN, Infinity]) {
      await expect(bus.publish(message, { delay })).rejects.toThrow(
        `'delay' must be 0 or more milliseconds, not ${delay}`,
      )
    }
    for (const at of [new Date(Number.NaN), 'tomorrow' as never]) {
      await expect(bus.publish(message, { at })).rejects.toThrow(`'at' must be a valid Date`)
    }
    await expect(bus.publish([message], { delay: 1, at: new Date() })).rejects.toThrow(ConfigurationError)
  })

  test('a broker that cannot delay refuses it before anything is sent', async () => {
    const broker = new SpyBroker()
    Object.assign(broker.capabilities, { delay: false })
    await using bus = await memoryBus({}, broker)
    await expect(bus.publish(Ticked.create({ n: 1 }), { delay: 5 })).rejects.toThrow(UnsupportedError)
    expect(broker.batches).toEqual([])
  })
})
