import { describe, expect, test } from 'vitest'
import { z } from 'zod'

import { MemoryBroker } from '../memory/index.ts'
import { event } from '../message/index.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { OrderPaid, OrderPlaced, Ticked } from './fixtures/contracts.ts'

describe('a dead letter', () => {
  test('holds the whole message, where it was, and what failed', async () => {
    await using bus = await memoryBus({ source: 'shop' })
    async function charge(): Promise<void> {
      throw new RangeError('card declined')
    }
    await bus.subscribe(OrderPlaced, charge, { group: 'billing' })
    const message = OrderPlaced.create({ orderId: 'o-1', total: 42 }, { tenantId: 't-1' })
    await bus.publish(message)
    await bus.idle()
    const [letter] = await bus.deadLetters.list()
    expect(letter).toMatchObject({
      group: 'billing',
      topic: 'events',
      position: expect.any(String),
      redeliveries: 0,
      message: {
        id: message.id,
        type: 'order.placed',
        source: 'shop',
        subject: 'o-1',
        key: 'o-1',
        data: { orderId: 'o-1', total: 42 },
        metadata: { tenantId: 't-1', correlationId: message.id },
      },
      failure: {
        reason: 'failed',
        handler: 'charge',
        attempts: 1,
        error: { name: 'RangeError', message: 'card declined', stack: expect.stringContaining('charge') },
      },
    })
    expect(await bus.deadLetters.get(letter!.id)).toEqual(letter)
    expect(await bus.deadLetters.get('none')).toBeUndefined()
  })

  test('masks credentials in the text and the stack of its error', async () => {
    const logger = keepingLogger()
    await using bus = await memoryBus({ logger })
    await bus.subscribe(Ticked, () => {
      throw new Error('cannot reach postgres://app:hunter2@db/x with token=abc123 and Bearer eyJhbGciOi.abc')
    })
    await bus.publish(Ticked.create({ n: 1 }))
    await bus.idle()
    const [letter] = await bus.deadLetters.list()
    expect(letter?.failure.error.message).toBe('cannot reach postgres://app:***@db/x with token=*** and Bearer ***')
    expect(JSON.stringify([letter?.failure, logger.lines])).not.toMatch(/hunter2|abc123|eyJhbGciOi/)
  })

  test('is found by filters, counted, and grouped by failure with the most frequent first', async () => {
    await using bus = await memoryBus()
    await bus.subscribe(
      Ticked,
      ({ data }) => {
        throw data.n === 3 ? new TypeError('odd') : new Error('usual')
      },
      { group: 'a' },
    )
    await bus.subscribe(OrderPaid, () => Promise.reject(new Error('usual')), { group: 'b' })
    await bus.publish([1, 2, 3].map((n) => Ticked.create({ n })))
    await bus.publish(OrderPaid.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(await bus.deadLetters.count()).toBe(4)
    expect(await bus.deadLetters.count({ group: 'a', errorName: 'TypeError' })).toBe(1)
    expect(await bus.deadLetters.count({ key: 'o-1' })).toBe(1)
    const page = await bus.deadLetters.list({ group: 'a' }, { limit: 2 })
    expect(page.map(({ message }) => message?.data)).toEqual([{ n: 1 }, { n: 2 }])
    const rest = await bus.deadLetters.list({ group: 'a' }, { after: page[1]!.id })
    expect(rest.map(({ message }) => message?.data)).toEqual([{ n: 3 }])
    expect((await bus.deadLetters.grouped()).map(({ group, errorName, count }) => [group, errorName, count])).toEqual([
      ['a', 'Error', 2],
      ['a', 'TypeError', 1],
      ['b', 'Error', 1],
    ])
  })

  test('one that cannot be opened is shown with its raw message and hides none of the others', async () => {
    const broker = new MemoryBroker()
    let broken = false
    const Odd = event(
      'Odd',
      z.object({ n: z.number() }).refine(() => {
        if (broken) throw new Error('the schema itself broke')
        return true
      }),
    )
    await using bus = await memoryBus({}, broker)
    await bus.subscribe(Odd, () => Promise.reject(new Error('no')))
    await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
    await bus.publish([Odd.create({ n: 1 }), Ticked.create({ n: 2 })])
    await bus.idle()
    broken = true
    const letters = await bus.deadLetters.list()
    expect(letters.map(({ raw, message }) => [raw.type, message?.data])).toEqual([
      ['Odd', undefined],
      ['Ticked', { n: 2 }],
    ])
  })
})
