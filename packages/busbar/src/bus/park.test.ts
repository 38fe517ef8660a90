import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { ConfigurationError, type Message } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { OrderPlaced, Ticked } from './fixtures/contracts.ts'

describe('park', () => {
  const order = (orderId: string, total: number) => OrderPlaced.create({ orderId, total })

  async function parking() {
    const clock = handClock()
    const bus = await memoryBus({ clock, retry: { redeliveries: [1_000] } }, new MemoryBroker({ clock }))
    const state = { healthy: false }
    const seen: string[] = []
    const handler = ({ data }: Message<{ orderId: string; total: number }>): void => {
      seen.push(`${data.orderId}${data.total}`)
      if (data.orderId === 'a' && data.total === 1 && !state.healthy) throw new Error('down')
    }
    const subscription = await bus.subscribe(OrderPlaced, handler, { group: 'g', onFailure: 'park' })
    await bus.publish([order('a', 1), order('a', 2), order('b', 1), order('a', 3)])
    await settled()
    return { bus, clock, seen, state, subscription }
  }

  test('those behind a failed message wait through its redelivery and its dead letter; other keys go on', async () => {
    const { bus, clock, seen } = await parking()
    await using _ = bus
    expect(seen).toEqual(['a1', 'b1'])
    await clock.advance(1_000)
    await bus.idle()
    expect(seen).toEqual(['a1', 'b1', 'a1'])
    const letters = await bus.deadLetters.list()
    expect(letters.map(({ failure, message }) => [failure.reason, message?.data])).toEqual([
      ['failed', { orderId: 'a', total: 1 }],
      ['parked', { orderId: 'a', total: 2 }],
      ['parked', { orderId: 'a', total: 3 }],
    ])
    await bus.publish(order('a', 4))
    await bus.publish(order('b', 2))
    await bus.idle()
    expect(seen).toEqual(['a1', 'b1', 'a1', 'b2'])
  })

  test('a redrive that succeeds releases them in order', async () => {
    const { bus, clock, seen, state } = await parking()
    await using _ = bus
    await clock.advance(1_000)
    await bus.idle()
    state.healthy = true
    expect(await bus.deadLetters.redrive({ reason: 'failed' })).toBe(1)
    await bus.idle()
    expect(seen.slice(3)).toEqual(['a1', 'a2', 'a3'])
    expect(await bus.deadLetters.count()).toBe(0)
  })

  test('a redrive with an edit asks only for the one that failed, not for those behind it', async () => {
    const { bus, clock, seen, state } = await parking()
    await using _ = bus
    await clock.advance(1_000)
    await bus.idle()
    state.healthy = true
    const asked: unknown[] = []
    const edit = (bad: Message): unknown => {
      asked.push((bad.data as { total: number }).total)
      return bad.data
    }
    expect(await bus.deadLetters.redrive({ group: 'g' }, { edit })).toBe(1)
    await bus.idle()
    expect(asked).toEqual([1])
    expect(seen.slice(3)).toEqual(['a1', 'a2', 'a3'])
  })

  test('discarding it releases them, too', async () => {
    const { bus, clock, seen } = await parking()
    await using _ = bus
    await clock.advance(1_000)
    await bus.idle()
    await bus.deadLetters.discard({ reason: 'failed' })
    await bus.idle()
    expect(seen.slice(3)).toEqual(['a2', 'a3'])
  })

  test('is refused together with a store of one’s own, which could not release them', async () => {
    await using bus = await memoryBus({ deadLetters: new MemoryBroker().deadLetters })
    const subscribing = bus.subscribe(Ticked, () => {}, { onFailure: 'park' })
    await expect(subscribing).rejects.toThrow(ConfigurationError)
  })
})
