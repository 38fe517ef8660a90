import { describe, expect, expectTypeOf, test } from 'vitest'

import type { HandlerContext, Middleware } from '../bus/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { command, DomainEvent, event, NonRetryableError, query, typed } from '../message/index.ts'
import type { MessageOf } from '../message/index.ts'
import { collectingLogger } from './collecting-logger.ts'
import { createFakeClock } from './fake-clock.ts'
import { createTestEventBus } from './test-event-bus.ts'

const subject = ({ orderId }: { orderId: string }): string => orderId
const Placed = event('order.Placed', typed<{ orderId: string }>(), { subject })
const Paid = event('order.Paid', typed<{ orderId: string; total: number }>(), { subject })
const Ship = command('Ship', typed<{ orderId: string }>())
const TotalOf = query('TotalOf', typed<{ orderId: string }>(), typed<number>())
class Cancelled extends DomainEvent<{ orderId: string }> {
  static readonly type = 'order.Cancelled'
}

/** Conditions are waited for as long as a busy machine may need. */
const patient = { timeout: 20_000 }

describe('what a test bus remembers', () => {
  test('published messages, in order, by contract, class, type or pattern', async () => {
    await using bus = await createTestEventBus()
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.publish([Paid.create({ orderId: 'o-1', total: 3 }), new Cancelled({ orderId: 'o-2' })])
    expect(bus.published().map(({ type }) => type)).toEqual(['order.Placed', 'order.Paid', 'order.Cancelled'])
    expect(bus.published(Paid).map(({ data }) => data.total)).toEqual([3])
    expect(bus.published(Cancelled)[0]).toBeInstanceOf(Cancelled)
    expect(bus.published('order.*')).toHaveLength(3)
    expect(bus.published('order.Placed')).toHaveLength(1)
    expect(bus.published([Placed, Cancelled]).map(({ data }) => data.orderId)).toEqual(['o-1', 'o-2'])
  })

  test('with the types of their contracts', async () => {
    await using bus = await createTestEventBus()
    expectTypeOf(bus.published(Placed)).toEqualTypeOf<readonly MessageOf<typeof Placed>[]>()
    expectTypeOf(bus.handled(Cancelled)[0]?.data).toEqualTypeOf<{ orderId: string } | undefined>()
    expectTypeOf(bus.deadLettered(Paid)[0]?.message?.data.total).toEqualTypeOf<number | undefined>()
    expectTypeOf(bus.published()[0]?.data).toEqualTypeOf<unknown>()
    expect(bus.published(Placed)).toEqual([])
  })

  test('messages as they left, with their correlation, after middleware, and not those that it dropped', async () => {
    await using bus = await createTestEventBus()
    const stamp: Middleware = {
      publish: async (message, next) => {
        if (message.type === Paid.type) return
        await next({ ...message, metadata: { ...message.metadata, tenantId: 't-1' } })
      },
    }
    bus.use(stamp)
    await bus.subscribe(Placed, (_: unknown, context: HandlerContext) =>
      context.publish([Paid.create({ orderId: 'dropped', total: 1 }), new Cancelled({ orderId: 'o-1' })]),
    )
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    const [placed, cancelled, ...more] = bus.published()
    expect(placed?.metadata.tenantId).toBe('t-1')
    expect(cancelled?.metadata).toMatchObject({ tenantId: 't-1', correlationId: placed?.id, causationId: placed?.id })
    expect(more).toEqual([])
  })

  test('not a message that was refused', async () => {
    await using bus = await createTestEventBus()
    await expect(bus.publish(Placed.create({ orderId: 1n as unknown as string }))).rejects.toThrow('orderId')
    await bus.stop()
    await expect(bus.publish(Placed.create({ orderId: 'o-1' }))).rejects.toThrow('stopped')
    expect(bus.published()).toEqual([])
  })

  test('commands and queries too, but no replies', async () => {
    await using bus = await createTestEventBus()
    await bus.subscribe(Ship, () => {})
    await bus.subscribe(TotalOf, () => 42)
    await bus.send(Ship.create({ orderId: 'o-1' }))
    expect(await bus.request(TotalOf.create({ orderId: 'o-1' }))).toBe(42)
    await bus.idle()
    expect(bus.published().map(({ kind }) => kind)).toEqual(['command', 'query'])
    expect(bus.handled(TotalOf)).toHaveLength(1)
  })

  test('handled messages once for each group, and only when their handler is done', async () => {
    await using bus = await createTestEventBus({ source: 'shop' })
    let finish = (): void => {}
    const finished = new Promise<void>((resolve) => (finish = resolve))
    await bus.subscribe(Placed, () => finished, { group: 'slow' })
    await bus.subscribe(Placed, { handle: () => {} }, { group: 'fast' })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await expect.poll(() => bus.handled(Placed, { group: 'fast' }).length, patient).toBe(1)
    expect(bus.handled(Placed, { group: 'slow' })).toEqual([])
    finish()
    await bus.idle()
    expect(bus.handled(Placed, { group: 'slow' })).toHaveLength(1)
    expect(bus.handled(Placed)).toHaveLength(2)
    expect(bus.handled(Paid)).toEqual([])
  })

  test('dead letters with their failure, and what the handler was given', async () => {
    await using bus = await createTestEventBus()
    const fail = (): never => {
      throw new NonRetryableError('never')
    }
    await bus.subscribe(Paid, fail, { group: 'billing' })
    await bus.publish(Paid.create({ orderId: 'o-1', total: 7 }))
    await bus.idle()
    const [letter] = bus.deadLettered(Paid)
    expect(letter).toMatchObject({ group: 'billing', failure: { reason: 'failed', attempts: 1, handler: 'fail' } })
    expect(letter?.message?.data.total).toBe(7)
    expect(bus.deadLettered(Placed)).toEqual([])
    expect(await bus.deadLetters.count()).toBe(1)
  })

  test('dead letters that go to a store of their own', async () => {
    const other = new MemoryBroker()
    await using bus = await createTestEventBus({ deadLetters: other.deadLetters })
    await bus.subscribe(Placed, () => Promise.reject(new NonRetryableError('never')))
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(bus.deadLettered(Placed)).toHaveLength(1)
    expect(await other.deadLetters.count()).toBe(1)
  })

  test('nothing of before `clear`; subscriptions and dead letters stay', async () => {
    await using bus = await createTestEventBus()
    await bus.subscribe(Placed, () => {})
    await bus.subscribe(Placed, () => Promise.reject(new NonRetryableError('never')), { group: 'failing' })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    bus.clear()
    expect([...bus.published(), ...bus.handled(), ...bus.deadLettered()]).toEqual([])
    await bus.publish(Placed.create({ orderId: 'o-2' }))
    await bus.idle()
    expect(bus.handled(Placed).map(({ data }) => data.orderId)).toEqual(['o-2'])
    expect(await bus.deadLetters.count()).toBe(2)
  })

  test('the methods of a registered handler, under their own names', async () => {
    await using bus = await createTestEventBus()
    class Billing {
      readonly eventType = Placed
      readonly #secret: string = 'private fields are reached'
      handle(): void {
        if (this.#secret === '') throw new Error('lost')
      }
    }
    await bus.register(new Billing())
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(bus.handled(Placed)).toHaveLength(1)
    expect(bus.subscriptions()[0]?.handler).toBe('Billing.handle')
  })
})

describe('how a test bus runs', () => {
  test('`idle` waits for what handlers publish, for retries and for redeliveries', async () => {
    await using bus = await createTestEventBus()
    const attempts: number[] = []
    await bus.subscribe(Placed, async ({ data }: MessageOf<typeof Placed>, context: HandlerContext) => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      await context.publish(Paid.create({ ...data, total: 1 }))
    })
    await bus.subscribe(Paid, (_: unknown, { attempt }: HandlerContext) => {
      attempts.push(attempt)
      // Succeeds after four runs of the first delivery, four of the second, and one.
      if (attempt < 9) throw new Error('not yet')
    })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(bus.handled(Paid)).toHaveLength(1)
    expect(bus.deadLettered()).toEqual([])
  })

  test('a handler that always fails is soon dead-lettered, without a setting', async () => {
    await using bus = await createTestEventBus()
    let runs = 0
    await bus.subscribe(Placed, () => {
      runs++
      throw new Error('always')
    })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(runs).toBe(16)
    expect(bus.deadLettered(Placed)[0]?.failure).toMatchObject({ attempts: 16, error: { message: 'always' } })
  })

  test('on a fake clock time passes only when the test says so, and 0 ms need no saying', async () => {
    const clock = createFakeClock()
    await using bus = await createTestEventBus({ clock, retry: { redeliveries: [60_000] } })
    const attempts: string[] = []
    await bus.subscribe(Placed, (_: unknown, { attempt }: HandlerContext) => {
      attempts.push(`${attempt} at ${clock.now() - Date.UTC(2026, 0, 1)}`)
      if (attempt < 5) throw new Error('not yet')
    })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await expect.poll(() => attempts, patient).toHaveLength(4)
    await clock.advance(59_999)
    expect(attempts).toEqual(['1 at 0', '2 at 0', '3 at 0', '4 at 0'])
    await clock.advance(1)
    expect(attempts.at(-1)).toBe('5 at 60000')
    await bus.idle()
  })

  test('a delayed message comes when the fake clock says so', async () => {
    const clock = createFakeClock()
    await using bus = await createTestEventBus({ clock })
    await bus.subscribe(Placed, () => {})
    await bus.publish(Placed.create({ orderId: 'o-1' }), { delay: 3_600_000 })
    await clock.advance(3_599_999)
    expect(bus.handled(Placed)).toEqual([])
    await clock.advance(1)
    expect(bus.handled(Placed)).toHaveLength(1)
  })

  test('says nothing, unless it is given a logger', async () => {
    const logger = collectingLogger()
    await using bus = await createTestEventBus({ logger })
    await bus.subscribe(Placed, () => Promise.reject(new NonRetryableError('never')), { group: 'failing' })
    await bus.publish(Placed.create({ orderId: 'o-1' }))
    await bus.idle()
    expect(logger.lines('error')).toEqual([
      expect.objectContaining({ text: expect.stringContaining(`order.Placed in group 'failing'`) }),
    ])
    logger.clear()
    expect(logger.lines()).toEqual([])
  })

  test('two test buses never see each other', async () => {
    await using one = await createTestEventBus()
    await using other = await createTestEventBus()
    await other.subscribe(Placed, () => {})
    await one.publish(Placed.create({ orderId: 'o-1' }))
    await Promise.all([one.idle(), other.idle()])
    expect([...other.published(), ...other.handled()]).toEqual([])
  })

  test('`await using` stops it, and a handler that hangs holds it no longer than a second', async () => {
    const late = Promise.withResolvers<void>()
    let aborted: AbortSignal | undefined
    {
      await using bus = await createTestEventBus({ stopDeadline: 10 })
      await bus.subscribe(Placed, (_: unknown, { signal }: HandlerContext) => {
        aborted = signal
        return late.promise
      })
      await bus.publish(Placed.create({ orderId: 'o-1' }))
      await expect.poll(() => aborted, patient).toBeDefined()
    }
    expect(aborted?.aborted).toBe(true)
    late.resolve()
  })
})
