import { describe, expect, test } from 'vitest'

import type { DeadLetter, DeadLetterStore } from '../broker/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { handClock, settled } from './fixtures/clock.ts'
import { Ticked } from './fixtures/contracts.ts'

describe('a store of one’s own', () => {
  function ownStore(): DeadLetterStore & {
    readonly put: DeadLetterStore['put']
    failing: number
    readonly kept: Omit<DeadLetter, 'id'>[]
  } {
    const base = new MemoryBroker().deadLetters
    const kept: Omit<DeadLetter, 'id'>[] = []
    return Object.assign(Object.create(base) as DeadLetterStore, {
      failing: 0,
      kept,
      put(this: { failing: number }, letter: Omit<DeadLetter, 'id'>) {
        if (this.failing-- > 0) throw new Error('store is away')
        kept.push(letter)
        return base.put(letter)
      },
    })
  }

  test('gets the letter instead of the broker', async () => {
    const broker = new MemoryBroker()
    const deadLetters = ownStore()
    await using bus = await memoryBus({ deadLetters }, broker)
    await bus.subscribe(Ticked, () => Promise.reject(new Error('no')), { group: 'g' })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    expect(deadLetters.kept).toMatchObject([{ group: 'g', topic: 'events', failure: { error: { message: 'no' } } }])
    expect(await broker.deadLetters.count()).toBe(0)
    expect(await bus.deadLetters.count()).toBe(1)
  })

  test('as long as it cannot keep the letter the message is not acked, and it is tried again', async () => {
    const clock = handClock()
    const broker = new MemoryBroker()
    const deadLetters = ownStore()
    deadLetters.failing = 2
    const logger = keepingLogger()
    await using bus = await memoryBus({ deadLetters, clock, logger }, broker)
    let runs = 0
    await bus.subscribe(Ticked, () => {
      runs++
      throw new Error('no')
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await settled()
    const lag = async () => (await broker.metrics()).groups[0]?.lag
    expect(await lag()).toBe(1)
    await clock.advance(1_000)
    expect(await lag()).toBe(1)
    await clock.advance(2_000)
    expect(await lag()).toBe(0)
    expect(runs).toBe(1)
    expect(deadLetters.kept).toHaveLength(1)
    expect(logger.lines.filter(({ text }) => text.includes('could not be stored'))).toHaveLength(2)
  })

  test('a stop meanwhile gives the message back', async () => {
    const clock = handClock()
    const broker = new MemoryBroker()
    const deadLetters = ownStore()
    deadLetters.failing = Infinity
    const bus = await memoryBus({ deadLetters, clock }, broker)
    await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
    await bus.publish(Ticked.create({ n: 1 }))
    await settled()
    await bus.stop()
    expect((await broker.metrics()).groups[0]).toMatchObject({ lag: 1, inFlight: 0 })
    expect(deadLetters.kept).toEqual([])
  })
})
