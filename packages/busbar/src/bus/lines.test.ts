import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Delivery, Verdict } from '../broker/index.ts'
import { event, type Priority, type Snapshot, typed } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { OrderPlaced, Ticked } from './fixtures/contracts.ts'
import { delivery } from './fixtures/delivery.ts'
import { latch, until } from './fixtures/waiting.ts'
import { Lines } from './lines.ts'

const ACK: Verdict = { ack: true }
const dataOf = ({ message }: Delivery): unknown => (message.body as Snapshot).value

/** Lines whose runs last until they are ended by hand. */
function lines(options: { concurrency?: number; ageing?: number } = {}) {
  const clock = handClock(0)
  const begun: unknown[] = []
  const open = new Map<unknown, (verdict: Verdict) => void>()
  const subject = new Lines({
    concurrency: 10,
    ageing: 1_000,
    ...options,
    clock,
    run: (turn) => {
      begun.push(dataOf(turn.delivery))
      open.set(dataOf(turn.delivery), (verdict) => turn.settle(verdict))
    },
  })
  return {
    clock,
    begun,
    subject,
    push: (data: unknown, key?: string, priority?: Priority) =>
      subject.push(delivery(data, { ...(key !== undefined && { key }), ...(priority !== undefined && { priority }) })),
    async end(data: unknown) {
      open.get(data)?.(ACK)
      await settled(2)
    },
  }
}

test('what another member may have got while it waited is given back unrun, and its line goes on', async () => {
  const { begun, subject, push, end } = lines()
  void push('a1', 'a')
  const lost: Delivery = { ...delivery('a2', { key: 'a' }), lapsed: true }
  const verdict = subject.push(lost)
  void push('a3', 'a')
  await end('a1')
  expect(await verdict).toEqual({ release: true })
  expect(begun).toEqual(['a1', 'a3'])
})

test('of one key one at a time and in order; other keys and messages without a key meanwhile', async () => {
  const { begun, push, end } = lines()
  for (const [data, key] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['b1', 'b'],
    ['-1', undefined],
    ['a3', 'a'],
    ['-2', undefined],
  ] as const) {
    void push(data, key)
  }
  expect(begun).toEqual(['a1', 'b1', '-1', '-2'])
  await end('a1')
  expect(begun.slice(4)).toEqual(['a2'])
  await end('a2')
  expect(begun.slice(5)).toEqual(['a3'])
})

test('at most so many at once', async () => {
  const { begun, push, end, subject } = lines({ concurrency: 2 })
  for (const n of [1, 2, 3, 4]) void push(n)
  expect(begun).toEqual([1, 2])
  expect([subject.running, subject.waiting]).toEqual([2, 2])
  await end(2)
  expect(begun).toEqual([1, 2, 3])
  await end(1)
  await end(3)
  await end(4)
  expect([subject.running, subject.waiting]).toEqual([0, 0])
})

test('a plain verdict comes back as it is, without a promise', () => {
  const subject = new Lines({ concurrency: 1, ageing: 1, clock: handClock(), run: (turn) => turn.settle(ACK) })
  expect(subject.push(delivery(1, { key: 'a' }))).toBe(ACK)
  expect(subject.push(delivery(2, { key: 'a' }))).toBe(ACK)
  expect(subject.running).toBe(0)
})

test('pause begins nothing more, also not on the fast path; resume goes on in order', async () => {
  const { begun, push, end, subject } = lines()
  void push('a1', 'a')
  subject.pause()
  expect(subject.paused).toBe(true)
  void push('a2', 'a')
  void push('b1', 'b')
  await end('a1')
  expect(begun).toEqual(['a1'])
  subject.resume()
  expect(new Set(begun)).toEqual(new Set(['a1', 'a2', 'b1']))
})

test('close releases all that waits, in whatever line, and whatever comes later', async () => {
  const { push, subject, end } = lines({ concurrency: 1 })
  const running = push('a1', 'a')
  const waiting = [push('a2', 'a'), push('b1', 'b'), push('-1')]
  subject.close()
  for (const each of waiting) expect(await each).toEqual({ release: true })
  expect(push('c1', 'c')).toEqual({ release: true })
  expect(subject.waiting).toBe(0)
  await end('a1')
  expect(await running).toEqual(ACK)
})

describe('priority', () => {
  test('the higher one first, and of equals the one that came first', async () => {
    const { begun, push, end } = lines({ concurrency: 1 })
    void push('running')
    for (const [data, priority] of [
      ['low', 'low'],
      ['none', undefined],
      ['normal', 'normal'],
      ['high 1', 'high'],
      ['critical', 'critical'],
      ['high 2', 'high'],
    ] as const) {
      void push(data, undefined, priority)
    }
    for (const each of ['running', 'critical', 'high 1', 'high 2', 'none', 'normal']) await end(each)
    expect(begun).toEqual(['running', 'critical', 'high 1', 'high 2', 'none', 'normal', 'low'])
  })

  test('order by key is stronger', async () => {
    const { begun, push, end } = lines({ concurrency: 1 })
    void push('running')
    void push('a1', 'a', 'low')
    void push('a2', 'a', 'critical')
    void push('b1', 'b', 'normal')
    for (const each of ['running', 'b1', 'a1']) await end(each)
    expect(begun).toEqual(['running', 'b1', 'a1', 'a2'])
  })

  test('a low one that has waited long enough goes before fresh critical ones: nothing starves', async () => {
    const { begun, push, end, clock } = lines({ concurrency: 1, ageing: 100 })
    void push('running')
    void push('low', undefined, 'low')
    let last = 'running'
    for (let n = 0; !begun.includes('low'); n++) {
      expect(n).toBeLessThan(20)
      await clock.advance(50)
      void push(`critical ${n}`, undefined, 'critical')
      await end(last)
      last = begun.at(-1) as string
    }
    // Three levels of 100 ms: 300 ms, so after the sixth.
    expect(begun).toHaveLength(7 + 1)
  })
})

test('whatever comes in whatever order, no key runs twice at once, none is reordered, lost or run twice', async () => {
  const arrival = fc.record({
    key: fc.constantFrom('a', 'b', 'c', undefined),
    ms: fc.nat(3),
    priority: fc.constantFrom('low', 'high'),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(arrival, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      async (arrivals, concurrency) => {
        const running = new Set<string>()
        const order = new Map<string, number[]>()
        let most = 0
        let now = 0
        const subject = new Lines({
          concurrency,
          ageing: 10,
          clock: handClock(),
          run: (turn) => void run(turn.delivery).then(() => turn.settle(ACK)),
        })
        async function run(each: Delivery): Promise<void> {
          const key = each.message.key ?? `none ${dataOf(each) as number}`
          expect(running.has(key)).toBe(false)
          running.add(key)
          most = Math.max(most, ++now)
          order.set(key, [...(order.get(key) ?? []), dataOf(each) as number])
          for (let ms = 0; ms < (arrivals[dataOf(each) as number]?.ms ?? 0); ms++) await Promise.resolve()
          running.delete(key)
          now--
        }
        const verdicts = arrivals.map(async ({ key, priority }, n) =>
          subject.push(delivery(n, { ...(key !== undefined && { key }), priority: priority as Priority })),
        )
        await Promise.all(verdicts)
        expect(most).toBeLessThanOrEqual(concurrency)
        expect([...order.values()].flat()).toHaveLength(arrivals.length)
        for (const seen of order.values()) expect(seen).toEqual(seen.toSorted((a, b) => a - b))
      },
    ),
    { numRuns: 100 },
  )
})

describe('on a bus', () => {
  test('a key keeps its order while one of its messages is being retried, and others go on', async () => {
    const clock = handClock()
    await using bus = await memoryBus({ clock, retry: { retries: 2, minDelay: 100, maxDelay: 100 } })
    const seen: string[] = []
    await bus.subscribe(OrderPlaced, ({ data }, { attempt }) => {
      seen.push(`${data.orderId}${data.total}`)
      if (data.total === 1 && data.orderId === 'a' && attempt < 3) throw new Error('not yet')
    })
    const messages = ['a1', 'a2', 'b1', 'a3', 'b2'].map((name) =>
      OrderPlaced.create({ orderId: name.slice(0, 1), total: Number(name.slice(1)) }),
    )
    await bus.publish(messages)
    await settled()
    expect(seen).toEqual(['a1', 'b1', 'b2'])
    await clock.advance(200)
    await bus.idle()
    expect(seen.filter((name) => name.startsWith('a'))).toEqual(['a1', 'a1', 'a1', 'a2', 'a3'])
  })

  test('a message that leaves the line for redelivery lets those behind it pass', async () => {
    const clock = handClock()
    const { MemoryBroker } = await import('../memory/index.ts')
    await using bus = await memoryBus({ clock, retry: { redeliveries: [1_000] } }, new MemoryBroker({ clock }))
    const seen: number[] = []
    await bus.subscribe(OrderPlaced, ({ data }, { attempt }) => {
      seen.push(data.total)
      if (data.total === 1 && attempt === 1) throw new Error('later')
    })
    await bus.publish([1, 2, 3].map((total) => OrderPlaced.create({ orderId: 'a', total })))
    await settled()
    expect(seen).toEqual([1, 2, 3])
    await clock.advance(1_000)
    expect(seen).toEqual([1, 2, 3, 1])
  })

  test('never more than prefetch are out of the broker, whatever the backlog; a slow subscription does not stall another', async () => {
    await using bus = await memoryBus()
    const release = latch()
    const slow = await bus.subscribe(Ticked, () => release.opened, { concurrency: 2, prefetch: 5, group: 'slow' })
    let fast = 0
    await bus.subscribe(Ticked, () => void fast++, { group: 'fast' })
    await bus.publish(Array.from({ length: 1_000 }, (_, n) => Ticked.create({ n })))
    await until(() => fast === 1_000, 'the fast one to be through')
    expect(slow.stats()).toMatchObject({ running: 2, waiting: 3 })
    const { broker } = await bus.metrics()
    expect(broker.groups.find(({ group }) => group === 'slow')).toMatchObject({ lag: 1_000, inFlight: 5 })
    release.open()
    await bus.idle()
    expect(slow.stats()).toMatchObject({ handled: 1_000, running: 0, waiting: 0 })
  })

  test('pause and resume: what waits is kept, and handled in order', async () => {
    await using bus = await memoryBus()
    const seen: number[] = []
    const subscription = await bus.subscribe(OrderPlaced, ({ data }) => void seen.push(data.total))
    subscription.pause()
    await bus.publish([1, 2, 3].map((total) => OrderPlaced.create({ orderId: 'a', total })))
    await settled()
    expect(seen).toEqual([])
    expect(subscription.stats()).toMatchObject({ paused: true, waiting: 3 })
    subscription.resume()
    await bus.idle()
    expect(seen).toEqual([1, 2, 3])
    expect(subscription.stats().paused).toBe(false)
  })

  test('the priority of a contract, a message or a publish decides what is handled first', async () => {
    await using bus = await memoryBus()
    const Alarm = event('Alarm', typed<{ n: number }>(), { priority: 'critical' })
    const seen: string[] = []
    const release = latch()
    await bus.subscribe(
      ['Ticked', 'Alarm'],
      async (message) => {
        seen.push(`${message.type} ${(message.data as { n: number }).n}`)
        if (seen.length === 1) await release.opened
      },
      { concurrency: 1, prefetch: 10, group: 'g' },
    )
    await bus.publish(Ticked.create({ n: 0 }))
    await until(() => seen.length === 1, 'the first to begin')
    await bus.publish(Ticked.create({ n: 1 }), { priority: 'low' })
    await bus.publish(Ticked.create({ n: 2 }))
    await bus.publish(Ticked.create({ n: 3 }, {}, { priority: 'high' }))
    await bus.publish(Alarm.create({ n: 4 }))
    await settled()
    release.open()
    await bus.idle()
    expect(seen).toEqual(['Ticked 0', 'Alarm 4', 'Ticked 3', 'Ticked 2', 'Ticked 1'])
  })
})
