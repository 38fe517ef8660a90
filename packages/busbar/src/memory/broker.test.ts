import { describe, expect, test, vi } from 'vitest'

import { BrokerError, type Failure, UnsupportedError } from '../broker/index.ts'
import { handClock, settled } from '../bus/fixtures/clock.ts'
import { until } from '../bus/fixtures/waiting.ts'
import { MemoryBroker } from './broker.ts'
import { ACK, member, outgoing } from './fixtures/port.ts'

const failure: Failure = {
  reason: 'failed',
  error: { name: 'Error', message: 'no' },
  handler: 'h',
  attempts: 1,
  firstFailedAt: 1,
  lastFailedAt: 2,
}
const metricsOf = async (broker: MemoryBroker, name = 'g') =>
  (await broker.metrics()).groups.find(({ group }) => group === name)

describe('handing out', () => {
  test('begins in a later turn, so that no publish waits for a handler', async () => {
    const broker = new MemoryBroker()
    const { order } = await member(broker)
    const publishing = broker.publish([outgoing('a')])
    expect(order).toEqual([])
    await publishing
    await settled()
    expect(order).toEqual(['a'])
  })

  test('never has more than prefetch unsettled', async () => {
    const broker = new MemoryBroker()
    const { order, settle } = await member(broker, { prefetch: 2 })
    await broker.publish(['a', 'b', 'c', 'd'].map((name) => outgoing(name)))
    await settled()
    expect(order).toEqual(['a', 'b'])
    await settle('b')
    expect(order).toEqual(['a', 'b', 'c'])
    expect(await metricsOf(broker)).toMatchObject({ lag: 3, inFlight: 2 })
  })

  test('lets timers and sockets have their turn under a long backlog', async () => {
    const broker = new MemoryBroker()
    let handled = 0
    await broker.subscribe(
      { group: 'g', topics: ['t'], broadcast: false, prefetch: 1, from: 'latest', onFailure: 'continue' },
      () => {
        handled++
        return ACK
      },
    )
    await broker.publish(Array.from({ length: 20_000 }, (_, n) => outgoing(String(n))))
    await new Promise((resolve) => setImmediate(resolve))
    const soon = handled
    expect(soon).toBeLessThan(20_000)
    await until(() => handled === 20_000, 'the rest to be handled')
    expect(await metricsOf(broker)).toMatchObject({ lag: 0, inFlight: 0 })
  })

  test('a group keeps what it is sent while it has no member, until it is deleted', async () => {
    const broker = new MemoryBroker()
    const first = await member(broker)
    await first.subscription.stop()
    await broker.publish([outgoing('a'), outgoing('b')])
    const second = await member(broker)
    await settled()
    expect(second.order).toEqual(['a', 'b'])
    await expect(broker.deleteGroup('g')).rejects.toThrow("group 'g' has 1 members: stop them first")
    await second.subscription.stop({ deadline: 0 })
    await broker.deleteGroup('g')
    await broker.deleteGroup('g')
    const third = await member(broker)
    await settled()
    expect(third.order).toEqual([])
  })

  test('a message for a group that nobody ever subscribed is refused, and so is what came with it', async () => {
    const broker = new MemoryBroker()
    const { order } = await member(broker)
    const refused = broker.publish([outgoing('a'), { ...outgoing('b'), group: 'nobody' }])
    await expect(refused).rejects.toThrow(/group 'nobody' has never been subscribed/)
    await settled()
    expect(order).toEqual([])
  })

  test('a message for one group reaches no other', async () => {
    const broker = new MemoryBroker()
    const mine = await member(broker, { group: 'mine' })
    const other = await member(broker, { group: 'other' })
    await broker.publish([outgoing('a', { group: 'mine' }), outgoing('b')])
    await settled()
    expect(mine.order).toEqual(['a', 'b'])
    expect(other.order).toEqual(['b'])
  })

  test('a key that one member has goes to no other meanwhile', async () => {
    const broker = new MemoryBroker()
    const one = await member(broker, { prefetch: 1 })
    const two = await member(broker, { prefetch: 1 })
    await broker.publish([outgoing('a1', { key: 'a' }), outgoing('a2', { key: 'a' }), outgoing('b1', { key: 'b' })])
    await settled()
    const [owner, other] = one.order.includes('a1') ? [one, two] : [two, one]
    expect(owner.order).toEqual(['a1'])
    expect(other.order).toEqual(['b1'])
    await owner.settle('a1')
    expect(owner.order).toEqual(['a1', 'a2'])
  })
})

describe('verdicts', () => {
  test('a redelivery comes after its time, never earlier, counted, and other messages pass', async () => {
    const clock = handClock()
    const broker = new MemoryBroker({ clock })
    const { order, settle, delivery } = await member(broker)
    await broker.publish([outgoing('a', { key: 'k' }), outgoing('b', { key: 'k' })])
    await settled()
    await settle('a', { redeliver: { after: 100, attempts: 4, firstFailedAt: 7 } })
    await settle('b')
    expect(await metricsOf(broker)).toMatchObject({ lag: 1, inFlight: 0, redelivering: 1 })
    await clock.advance(99)
    expect(order).toEqual(['a', 'b'])
    await clock.advance(1)
    expect(order).toEqual(['a', 'b', 'a'])
    expect(delivery('a')).toMatchObject({ attempts: 4, redeliveries: 1, firstFailedAt: 7, crashes: 0 })
    await settle('a')
    expect(await metricsOf(broker)).toMatchObject({ lag: 0, redelivering: 0 })
  })

  test('a release puts it back in its place and counts nothing', async () => {
    const broker = new MemoryBroker()
    const { order, settle, delivery } = await member(broker, { prefetch: 1 })
    await broker.publish(['a', 'b'].map((name) => outgoing(name, { key: 'k' })))
    await settled()
    await settle('a', { release: true })
    await settled()
    expect(order).toEqual(['a', 'a'])
    expect(delivery('a')).toMatchObject({ attempts: 0, redeliveries: 0 })
  })

  test('runs told with began stay counted after a release', async () => {
    const broker = new MemoryBroker()
    const { settle, delivery } = await member(broker)
    await broker.publish([outgoing('a')])
    await settled()
    void delivery('a')?.began(3)
    await settle('a', { release: true })
    await settled()
    expect(delivery('a')?.attempts).toBe(3)
  })

  test('a late verdict does no harm, and settles nothing twice', async () => {
    const broker = new MemoryBroker()
    const first = await member(broker)
    await broker.publish([outgoing('a')])
    await settled()
    void first.delivery('a')?.began(1)
    await first.subscription.stop({ deadline: 0 })
    expect(first.delivery('a')?.signal.aborted).toBe(true)
    const second = await member(broker)
    await settled()
    expect(second.order).toEqual(['a'])
    // The retry that was cut off had begun, too.
    expect(second.delivery('a')?.attempts).toBe(2)
    await first.settle('a', { deadLetter: failure })
    expect(await broker.deadLetters.count()).toBe(0)
    expect(await metricsOf(broker)).toMatchObject({ lag: 1, inFlight: 1 })
    await second.settle('a')
    expect(await metricsOf(broker)).toMatchObject({ lag: 0, inFlight: 0 })
  })
})

describe('stopping a member', () => {
  test('waits for what is unsettled; each call has its own deadline, and the first to pass ends it', async () => {
    const broker = new MemoryBroker()
    const { subscription, settle } = await member(broker)
    await broker.publish([outgoing('a')])
    await settled()
    let done = false
    const waiting = subscription.stop().then(() => (done = true))
    await settled()
    expect(done).toBe(false)
    await subscription.stop({ deadline: 1 })
    await waiting
    await settle('a')
    expect(await metricsOf(broker)).toMatchObject({ lag: 1, inFlight: 0 })
  })

  test('what it had goes to another member in its old order', async () => {
    const broker = new MemoryBroker()
    const leaving = await member(broker, { prefetch: 3 })
    const names = ['a', 'b', 'c', 'd', 'e']
    await broker.publish(names.map((name) => outgoing(name, { key: 'k' })))
    await settled()
    expect(leaving.order).toEqual(['a', 'b', 'c'])
    await leaving.subscription.stop({ deadline: 0 })
    const next = await member(broker)
    await settled()
    expect(next.order).toEqual(names)
  })
})

describe('delay', () => {
  test('a wait above what a timer can hold is not cut short and does not spin', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    try {
      const timers = vi.spyOn(globalThis, 'setTimeout')
      const broker = new MemoryBroker()
      const { order } = await member(broker)
      const day = 86_400_000
      await broker.publish([outgoing('far', { deliverAt: Date.now() + 40 * day })])
      await vi.advanceTimersByTimeAsync(10)
      expect(timers).toHaveBeenCalledOnce()
      await vi.advanceTimersByTimeAsync(40 * day - 11)
      expect(timers).toHaveBeenCalledTimes(2)
      expect(order).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      expect(order).toEqual(['far'])
    } finally {
      vi.useRealTimers()
      vi.restoreAllMocks()
    }
  })

  test('is counted in the metrics of the topic until it is due', async () => {
    const clock = handClock()
    const broker = new MemoryBroker({ clock })
    await member(broker)
    await broker.publish([outgoing('a', { deliverAt: clock.now() + 10 })])
    expect((await broker.metrics()).topics).toEqual([{ topic: 't', depth: 0, delayed: 1 }])
    await clock.advance(10)
    expect((await broker.metrics()).topics).toEqual([{ topic: 't', depth: 1, delayed: 0 }])
  })

  test('a stopped broker leaves no timer', async () => {
    const clock = handClock()
    const broker = new MemoryBroker({ clock })
    const { settle } = await member(broker)
    await broker.publish([outgoing('a', { deliverAt: clock.now() + 10 }), outgoing('b')])
    await settled()
    await settle('b', { redeliver: { after: 10, attempts: 1, firstFailedAt: 1 } })
    expect(clock.pending).toBe(2)
    await broker.stop({ deadline: 0 })
    expect(clock.pending).toBe(0)
  })
})

describe('what it refuses', () => {
  test('everything after stop, and history', async () => {
    const broker = new MemoryBroker()
    await expect(member(broker, { from: 'earliest' })).rejects.toThrow(UnsupportedError)
    await broker.stop()
    await broker.stop()
    await expect(broker.start()).rejects.toThrow(BrokerError)
    await expect(broker.ping()).rejects.toThrow('the memory broker was stopped')
    await expect(broker.publish([outgoing('a')])).rejects.toThrow(BrokerError)
    await expect(member(broker)).rejects.toThrow(BrokerError)
  })
})

describe('dead letters', () => {
  test('a redrive that the group cannot take leaves the letter where it is', async () => {
    const broker = new MemoryBroker()
    const { settle, subscription } = await member(broker)
    await broker.publish([outgoing('a')])
    await settled()
    await settle('a', { deadLetter: failure })
    expect(await metricsOf(broker)).toMatchObject({ lag: 0, dead: 1 })
    await subscription.stop()
    await broker.deleteGroup('g')
    await expect(broker.deadLetters.redrive({})).rejects.toThrow("group 'g' does not exist any more")
    expect(await broker.deadLetters.count()).toBe(1)
  })

  test('the same message of a group again replaces the letter before it, and is the newest', async () => {
    const { deadLetters } = new MemoryBroker()
    const [first, second] = [outgoing('a').message, outgoing('b').message]
    const letter = { group: 'g', topic: 't', position: '1', failure, redeliveries: 0 }
    await deadLetters.put({ ...letter, message: first })
    await deadLetters.put({ ...letter, message: second })
    await deadLetters.put({ ...letter, message: first, failure: { ...failure, attempts: 9 } })
    const letters = await deadLetters.list()
    expect(letters.map(({ message, failure: { attempts } }) => [message.id, attempts])).toEqual([
      [second.id, 1],
      [first.id, 9],
    ])
  })

  test('filters by each field, and pages', async () => {
    const { deadLetters } = new MemoryBroker()
    const { message } = outgoing('a', { key: 'k' })
    await deadLetters.put({ group: 'g', topic: 't', position: '1', message, failure, redeliveries: 0 })
    const hits = [
      { group: 'g' },
      { topic: 't' },
      { type: 'X' },
      { key: 'k' },
      { messageId: message.id },
      { reason: 'failed' },
      { errorName: 'Error' },
      { since: 2 },
      { until: 3 },
    ] as const
    for (const filter of hits) expect(await deadLetters.count(filter)).toBe(1)
    const misses = [
      { group: 'h' },
      { topic: 'u' },
      { type: 'Y' },
      { key: 'l' },
      { messageId: 'other' },
      { reason: 'invalid' },
      { errorName: 'TypeError' },
      { since: 3 },
      { until: 2 },
    ] as const
    for (const filter of misses) expect(await deadLetters.count(filter)).toBe(0)
    expect(await deadLetters.list({}, { limit: 0 })).toEqual([])
  })
})
