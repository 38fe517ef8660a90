import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Broker, type Delivery, type Outgoing, PublishError, type Verdict } from '../broker/index.ts'
import { EventBus } from '../bus/index.ts'
import { HybridEventBus } from '../hybrid-event-bus.ts'
import { MemoryBroker } from '../memory/index.ts'
import { event, MessageTooLargeError, typed, uuidv7 } from '../message/index.ts'
import type { Priority } from '../message/message.ts'
import { SqliteBroker } from '../sqlite/index.ts'
import { DefaultRoutingStrategy, HybridBroker, PriorityRoutingStrategy, type Routing } from './index.ts'

const Cached = event('CacheInvalidated', typed<{ n: number }>())
const Ordered = event('OrderPlaced', typed<{ n: number }>())
const Forgotten = event('NobodyListedThis', typed<{ n: number }>())

const ended: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
})

async function hybridOf(routing?: Routing): Promise<{ bus: EventBus; local: MemoryBroker; remote: MemoryBroker }> {
  const [local, remote] = [new MemoryBroker(), new MemoryBroker()]
  const bus = new EventBus(new HybridBroker({ local, remote, ...(routing === undefined ? {} : { routing }) }))
  await bus.start()
  ended.push(() => bus.stop())
  return { bus, local, remote }
}

/** What is published to one of the two by itself, from now on. */
async function listenTo(broker: Broker): Promise<string[]> {
  const types: string[] = []
  const spec = { group: `spy-${uuidv7()}`, topics: ['events'], broadcast: true, prefetch: 10, from: 'latest' } as const
  await broker.subscribe({ ...spec, onFailure: 'continue' }, ({ message }) => {
    types.push(message.type)
    return { ack: true }
  })
  return types
}

function outgoing(type: string, more: Partial<Outgoing['message']> = {}): Outgoing {
  const id = uuidv7()
  return {
    topic: 'events',
    message: {
      id,
      type,
      kind: 'event',
      source: 'test',
      time: new Date(),
      version: 1,
      metadata: { correlationId: id },
      contentType: 'application/json',
      body: '{}',
      ...more,
    },
  }
}

describe('routing', () => {
  test('by lists: local, remote, in both lists both, and what no list names goes remote', async () => {
    const { bus, local, remote } = await hybridOf(
      new DefaultRoutingStrategy(['CacheInvalidated', 'ui.*', 'Both'], ['OrderPlaced', 'Both']),
    )
    const [here, there] = [await listenTo(local), await listenTo(remote)]
    const all = ['CacheInvalidated', 'ui.Clicked', 'OrderPlaced', 'NobodyListedThis', 'Both', 'ui']
    for (const type of all) await bus.publish(event(type, typed<object>()).create({}))
    await expect.poll(() => here).toEqual(['CacheInvalidated', 'ui.Clicked', 'Both'])
    await expect.poll(() => there).toEqual(['OrderPlaced', 'NobodyListedThis', 'Both', 'ui'])
  })

  test('without a strategy nothing stays in this process by accident', async () => {
    const { bus, local, remote } = await hybridOf()
    const [here, there] = [await listenTo(local), await listenTo(remote)]
    await bus.publish(Cached.create({ n: 1 }))
    await expect.poll(() => there).toEqual(['CacheInvalidated'])
    expect(here).toEqual([])
  })

  test('by priority: critical messages are never only in memory, and without a priority one counts as normal', () => {
    const way = (priority: Priority | undefined, strategy = new PriorityRoutingStrategy()) =>
      strategy.route({ ...outgoing('A').message, priority, topic: 'events' })
    expect(['low', 'normal', 'high', 'critical', undefined].map((one) => way(one as Priority))).toEqual([
      'local',
      'remote',
      'remote',
      'remote',
      'remote',
    ])
    expect(way('high', new PriorityRoutingStrategy({ remoteFrom: 'critical' }))).toBe('local')
    expect(() => new PriorityRoutingStrategy({ remoteFrom: 'urgent' as Priority })).toThrow(/low, normal, high/)
  })

  test('by a function, which sees topic and attributes and not the data', async () => {
    const seen: object[] = []
    const { bus, local } = await hybridOf((message) => {
      seen.push(message)
      return message.key === 'mine' ? 'local' : 'remote'
    })
    const here = await listenTo(local)
    await bus.publish([Ordered.create({ n: 1 }, {}, { key: 'mine' }), Ordered.create({ n: 2 }, {}, { key: 'yours' })])
    await expect.poll(() => here).toEqual(['OrderPlaced'])
    expect(seen[0]).toMatchObject({ topic: 'events', type: 'OrderPlaced', key: 'mine' })
    expect(seen[0]).not.toHaveProperty('body')
  })

  test('an answer that is no way refuses the whole call before anything is sent', async () => {
    const { bus, local, remote } = await hybridOf(({ key }) => (key === 'bad' ? ('elsewhere' as 'local') : 'local'))
    const [here, there] = [await listenTo(local), await listenTo(remote)]
    const batch = [Ordered.create({ n: 1 }), Ordered.create({ n: 2 }, {}, { key: 'bad' })]
    await expect(bus.publish(batch)).rejects.toThrow(/'elsewhere'; it must say local, remote or both/)
    await bus.publish(Cached.create({ n: 3 }))
    await expect.poll(() => here).toEqual(['CacheInvalidated'])
    expect(there).toEqual([])
  })
})

describe('a group of a hybrid', () => {
  test('gets what comes either way', async () => {
    const { bus } = await hybridOf(new DefaultRoutingStrategy(['CacheInvalidated']))
    const got: string[] = []
    await bus.subscribe('*', ({ type }) => void got.push(type), { group: 'all' })
    await bus.publish([Cached.create({ n: 1 }), Ordered.create({ n: 2 })])
    await expect.poll(() => got.toSorted()).toEqual(['CacheInvalidated', 'OrderPlaced'])
  })

  test.each([false, true])('handles once what goes both ways (broadcast: %s)', async (broadcast) => {
    const { bus, local, remote } = await hybridOf(new DefaultRoutingStrategy(['OrderPlaced'], ['OrderPlaced']))
    const [here, there] = [await listenTo(local), await listenTo(remote)]
    const got: number[] = []
    const options = broadcast ? ({ broadcast: true } as const) : { group: 'billing' }
    await bus.subscribe(Ordered, ({ data }) => void got.push(data.n), options)
    for (let n = 0; n < 20; n++) await bus.publish(Ordered.create({ n }, {}, { key: 'k' }))
    await expect.poll(() => [here.length, there.length]).toEqual([20, 20])
    await bus.stop()
    expect(got).toEqual([...Array(20).keys()])
  })

  test('has at most its prefetch in hand, from both brokers together, and stop gives back what waits', async () => {
    const [local, remote] = [new MemoryBroker(), new MemoryBroker()]
    const hybrid = new HybridBroker({ local, remote, routing: new DefaultRoutingStrategy(['A']) })
    await hybrid.start()
    ended.push(() => hybrid.stop({ deadline: 0 }))
    const open: { delivery: Delivery; settle: (verdict: Verdict) => void }[] = []
    const spec = { group: 'g', topics: ['events'], broadcast: false, prefetch: 2, from: 'latest' } as const
    const subscription = await hybrid.subscribe(
      { ...spec, onFailure: 'continue' },
      (delivery) => new Promise((settle) => open.push({ delivery, settle })),
    )
    await hybrid.publish(['A', 'B', 'A', 'B', 'A', 'B'].map((type) => outgoing(type)))
    await expect.poll(() => open.length).toBe(2)
    open.shift()?.settle({ ack: true })
    await expect.poll(() => open.length).toBe(2)
    const stopping = subscription.stop()
    for (const { settle } of open.splice(0)) settle({ ack: true })
    await stopping
    expect(open).toEqual([])
    // Three were acked; the other three are there for the next member.
    const again: string[] = []
    await hybrid.subscribe({ ...spec, prefetch: 10, onFailure: 'continue' }, ({ message }) => {
      again.push(message.type)
      return { ack: true }
    })
    await expect.poll(() => again.length).toBe(3)
  })
})

describe('a failure', () => {
  const good = new DefaultRoutingStrategy(['Local', 'Both'], ['Remote', 'Both'])

  test('of one broker names exactly the messages that it should have carried, and copies none of them locally', async () => {
    const [local, remote] = [new MemoryBroker(), new MemoryBroker()]
    const hybrid = new HybridBroker({ local, remote, routing: good })
    await hybrid.start()
    const here = await listenTo(local)
    await remote.stop()
    const batch = [outgoing('Local'), outgoing('Remote'), outgoing('Both'), outgoing('Local')]
    const error = await hybrid.publish(batch).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(PublishError)
    expect((error as PublishError).failed.map(({ index, id }) => [index, id])).toEqual([
      [1, batch[1]?.message.id],
      [2, batch[2]?.message.id],
    ])
    await expect.poll(() => here).toEqual(['Local', 'Local'])
    await hybrid.stop()
  })

  test('a body that either of the two would refuse is refused before anything is sent', async () => {
    const [local, remote] = [new MemoryBroker(), new MemoryBroker({ maxMessageBytes: 10 })]
    const hybrid = new HybridBroker({ local, remote, routing: good })
    await hybrid.start()
    const here = await listenTo(local)
    const batch = [outgoing('Local'), outgoing('Remote', { body: 'x'.repeat(11) })]
    await expect(hybrid.publish(batch)).rejects.toThrow(MessageTooLargeError)
    await hybrid.publish([outgoing('Local')])
    await expect.poll(() => here).toEqual(['Local'])
    await hybrid.stop()
  })

  test('is a dead letter of the broker that handed it out, in one list with the other’s, and is redriven there', async () => {
    const { bus } = await hybridOf(new DefaultRoutingStrategy(['CacheInvalidated']))
    let broken = true
    const got: string[] = []
    const handler = ({ type }: { readonly type: string }): void => {
      if (broken) throw new Error(`${type} is not liked`)
      got.push(type)
    }
    await bus.subscribe('*', handler, { group: 'all', retry: { retries: 0, redeliveries: [] } })
    for (let n = 0; n < 3; n++) await bus.publish([Cached.create({ n }), Ordered.create({ n })])
    await expect.poll(() => bus.deadLetters.count()).toBe(6)
    const letters = await bus.deadLetters.list()
    expect(letters.map(({ id }) => id.replace(/:.*/, '')).toSorted((a, b) => a.localeCompare(b))).toEqual([
      ...Array<string>(3).fill('local'),
      ...Array<string>(3).fill('remote'),
    ])
    const first = await bus.deadLetters.list({}, { limit: 4 })
    const rest = await bus.deadLetters.list({}, { limit: 4, after: first.at(-1)?.id ?? '' })
    expect([...first, ...rest].map(({ id }) => id)).toEqual(letters.map(({ id }) => id))
    expect((await bus.deadLetters.grouped()).map(({ type, count }) => [type, count])).toEqual([
      ['CacheInvalidated', 3],
      ['OrderPlaced', 3],
    ])
    broken = false
    expect(await bus.deadLetters.redrive(letters.slice(0, 2).map(({ id }) => id))).toBe(2)
    expect(await bus.deadLetters.discard({ type: 'OrderPlaced' })).toBe(2)
    expect(await bus.deadLetters.redrive({})).toBe(2)
    await expect.poll(() => got.length).toBe(4)
    expect(await bus.deadLetters.count()).toBe(0)
  })
})

describe('with SQLite as the remote broker', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'busbar-hybrid-'))))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('what no list names survives this process, and what stays local does not', async () => {
    const bus = (): HybridEventBus =>
      new HybridEventBus({
        localBroker: new MemoryBroker(),
        remoteBroker: new SqliteBroker({ file: join(folder, 'bus.db') }),
        routingStrategy: new DefaultRoutingStrategy(['CacheInvalidated']),
      })
    const first = bus()
    expect(first.getBroker().capabilities).toMatchObject({ durable: false, order: 'key', replay: true })
    await first.start()
    await (await first.subscribe('*', () => {}, { group: 'all' })).unsubscribe()
    await first.publish([Cached.create({ n: 1 }), Ordered.create({ n: 2 }), Forgotten.create({ n: 3 })])
    await first.stop()

    const second = bus()
    ended.push(() => second.stop())
    await second.start()
    const got: string[] = []
    await second.subscribe('*', ({ type }) => void got.push(type), { group: 'all' })
    await expect.poll(() => got.toSorted()).toEqual(['NobodyListedThis', 'OrderPlaced'])
  })
})
