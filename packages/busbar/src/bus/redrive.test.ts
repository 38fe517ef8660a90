import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { type Message, ValidationError } from '../message/index.ts'
import { memoryBus } from './fixtures/bus.ts'
import { OrderPaid, OrderPlaced, Ticked } from './fixtures/contracts.ts'

describe('redrive', () => {
  test('brings it back once, to the group that failed alone, with the same id and attempts from the start', async () => {
    await using bus = await memoryBus({ retry: { retries: 1, minDelay: 0 } })
    let healthy = false
    const seen: Record<'flaky' | 'sound', [string, number][]> = { flaky: [], sound: [] }
    await bus.subscribe(
      Ticked,
      (message, { attempt }) => {
        seen.flaky.push([message.id, attempt])
        if (!healthy) throw new Error('down')
      },
      { group: 'flaky' },
    )
    await bus.subscribe(Ticked, (message, { attempt }) => void seen.sound.push([message.id, attempt]), {
      group: 'sound',
    })
    const message = Ticked.create({ n: 1 })
    await bus.publish(message)
    await bus.idle()
    healthy = true
    const [letter] = await bus.deadLetters.list()
    expect(await bus.deadLetters.redrive(letter!.id)).toBe(1)
    expect(await bus.deadLetters.redrive(letter!.id)).toBe(0)
    await bus.idle()
    expect(seen.flaky).toEqual([
      [message.id, 1],
      [message.id, 2],
      [message.id, 1],
    ])
    expect(seen.sound).toEqual([[message.id, 1]])
    expect(await bus.deadLetters.count()).toBe(0)
  })

  test('by filter it takes what matches and leaves the rest', async () => {
    await using bus = await memoryBus()
    let healthy = false
    const handled: unknown[] = []
    const handler = (message: Message): void => {
      if (!healthy) throw new Error('down')
      handled.push(message.data)
    }
    await bus.subscribe(Ticked, handler)
    await bus.subscribe(OrderPaid, handler)
    await bus.publish([Ticked.create({ n: 1 }), OrderPaid.create({ orderId: 'o-1' })])
    await bus.idle()
    healthy = true
    expect(await bus.deadLetters.redrive({ type: 'Ticked' })).toBe(1)
    await bus.idle()
    expect(handled).toEqual([{ n: 1 }])
    expect(await bus.deadLetters.count()).toBe(1)
  })

  test('with an edit goes on with the new data, and keeps id, key and metadata', async () => {
    await using bus = await memoryBus()
    const seen: Message[] = []
    await bus.subscribe(OrderPlaced, (message) => {
      if (message.data.total < 0) throw new Error('negative')
      seen.push(message)
    })
    const message = OrderPlaced.create({ orderId: 'o-1', total: -1 }, { tenantId: 't-1' })
    await bus.publish(message)
    await bus.idle()
    const edit = async (bad: Message) => ({ ...(bad.data as object), total: 1 })
    expect(await bus.deadLetters.redrive({}, { edit })).toBe(1)
    await bus.idle()
    expect(seen[0]).toMatchObject({
      id: message.id,
      key: 'o-1',
      data: { orderId: 'o-1', total: 1 },
      metadata: { tenantId: 't-1' },
    })
  })

  test('an edit that does not fit the contract rejects, and none of them is redriven', async () => {
    await using bus = await memoryBus()
    let runs = 0
    await bus.subscribe(OrderPlaced, () => {
      runs++
      throw new Error('no')
    })
    await bus.publish([1, 2].map((total) => OrderPlaced.create({ orderId: `o-${total}`, total })))
    await bus.idle()
    const edit = (bad: Message): unknown => ((bad.data as { total: number }).total === 2 ? { orderId: 2 } : bad.data)
    await expect(bus.deadLetters.redrive({}, { edit })).rejects.toThrow(ValidationError)
    await expect(
      bus.deadLetters.redrive(
        {},
        {
          edit: () => {
            throw new Error('edit broke')
          },
        },
      ),
    ).rejects.toThrow('edit broke')
    await bus.idle()
    expect(runs).toBe(2)
    expect(await bus.deadLetters.count()).toBe(2)
  })

  test('a letter whose data is what was wrong can be repaired by an edit', async () => {
    const broker = new MemoryBroker()
    await using bus = await memoryBus({}, broker)
    const seen: unknown[] = []
    await bus.subscribe(OrderPlaced, (message) => void seen.push(message.data))
    await using careless = await memoryBus({}, broker)
    const { data: _, ...attributes } = { ...OrderPlaced.create({ orderId: 'o-1' }) }
    await careless.publish({ ...attributes, data: { order: 'o-1' } })
    await bus.idle()
    const edit = (bad: Message): unknown => ({ orderId: (bad.data as { order: string }).order })
    expect(await bus.deadLetters.redrive({ reason: 'invalid' }, { edit })).toBe(1)
    await bus.idle()
    expect(seen).toEqual([{ orderId: 'o-1', total: 0 }])
  })

  test('reaches a broadcast subscription, too, as long as it is there; after that the letter stays', async () => {
    await using bus = await memoryBus()
    let healthy = false
    let handled = 0
    const subscription = await bus.subscribe(
      Ticked,
      () => {
        if (!healthy) throw new Error('down')
        handled++
      },
      { broadcast: true },
    )
    await bus.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 2 })])
    await bus.idle()
    const letters = await bus.deadLetters.list()
    expect(letters).toHaveLength(2)
    healthy = true
    await bus.deadLetters.redrive(letters[0]!.id)
    await bus.idle()
    expect(handled).toBe(1)
    await subscription.unsubscribe()
    await expect(bus.deadLetters.redrive(letters[1]!.id)).rejects.toThrow(/does not exist any more/)
    expect(await bus.deadLetters.count()).toBe(1)
  })

  test('discard deletes for good', async () => {
    await using bus = await memoryBus()
    let runs = 0
    await bus.subscribe(Ticked, () => {
      runs++
      throw new Error('no')
    })
    await bus.publish([Ticked.create({ n: 1 }), Ticked.create({ n: 2 })])
    await bus.idle()
    const [first] = await bus.deadLetters.list()
    expect(await bus.deadLetters.discard(first!.id)).toBe(1)
    expect(await bus.deadLetters.discard({ type: 'Ticked' })).toBe(1)
    expect(await bus.deadLetters.count()).toBe(0)
    expect(await bus.deadLetters.redrive({})).toBe(0)
    expect(runs).toBe(2)
  })
})
