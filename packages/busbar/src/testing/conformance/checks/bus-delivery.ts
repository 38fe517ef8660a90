import assert from 'node:assert/strict'
import type { Message } from '../../../message/message.ts'
import { command, event, query, typed } from '../../../message/index.ts'
import type { Check } from '../check.ts'
import { Gate } from '../../suite/waiting.ts'

const Placed = event('Placed', typed<{ readonly n: number }>())
const Counted = event('Counted', typed<{ readonly n: number }>())

/** The bus over the broker: publish, subscribe, correlate, stop. */
export const busDeliveryChecks: readonly Check[] = [
  {
    name: 'bus: publishes that are not awaited one by one are all confirmed and handled once',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: number[] = []
      await bus.subscribe(Placed, ({ data }) => void seen.push(data.n), { group: ctx.group })
      await Promise.all(Array.from({ length: 1_000 }, (_, n) => bus.publish(Placed.create({ n }))))
      await bus.idle({ timeout: ctx.options.patience })
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        Array.from({ length: 1_000 }, (_, n) => n),
      )
    },
  },
  {
    name: 'bus: what a handler publishes carries its correlation id and names it as the cause',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: Message[] = []
      await bus.subscribe(Placed, async ({ data }) => bus.publish(Counted.create(data)), { group: ctx.name('a') })
      await bus.subscribe(Counted, (message) => void seen.push(message), { group: ctx.name('b') })
      const first = Placed.create({ n: 1 }, { correlationId: 'whole-order', tenantId: 't' })
      const second = Placed.create({ n: 2 })
      await bus.publish([first, second])
      await ctx.eventually(() => seen.length === 2, 'both effects')
      const effects = new Map(seen.map(({ data, metadata }) => [(data as { n: number }).n, metadata]))
      assert.equal(effects.get(1)?.correlationId, 'whole-order')
      assert.equal(effects.get(1)?.causationId, first.id)
      assert.equal(effects.get(2)?.correlationId, second.id)
      assert.equal(effects.get(2)?.causationId, second.id)
    },
  },
  {
    name: 'bus: a message with no handler is skipped and counted, and nothing waits for it',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      let handled = 0
      const subscription = await bus.subscribe(Placed, () => void handled++, { group: ctx.group })
      for (let n = 0; n < 5; n++)
        await bus.publish([Counted.create({ n }, {}, { key: 'k' }), Placed.create({ n }, {}, { key: 'k' })])
      await bus.idle({ timeout: ctx.options.patience })
      const { skipped, handled: counted, failed } = subscription.stats()
      assert.deepEqual({ skipped, counted, failed, handled }, { skipped: 5, counted: 5, failed: 0, handled: 5 })
    },
  },
  {
    name: 'bus: no handler ever holds the object of the publisher or of another handler',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: string[] = []
      const spoil = ({ data }: Message): void => {
        const tags = (data as { tags: string[] }).tags
        seen.push(tags.join())
        tags.push('spoiled')
      }
      await bus.subscribe('Tagged', spoil, { group: ctx.name('a') })
      await bus.subscribe('Tagged', spoil, { group: ctx.name('b') })
      const data = { tags: ['one'] }
      const published = bus.publish(event('Tagged', typed<{ tags: string[] }>()).create(data))
      await published
      data.tags.push('changed')
      await ctx.eventually(() => seen.length === 2, 'both handlers')
      assert.deepEqual(seen, ['one', 'one'])
      assert.deepEqual(data.tags, ['one', 'changed'])
    },
  },
  {
    name: 'bus: a handler that throws, now or later, disturbs no other subscription',
    needs: (c) => c.groups && c.deadLetters,
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retries: 0, redeliveries: [] } })
      let handled = 0
      const group = (name: string): { group: string } => ({ group: ctx.name(name) })
      await bus.subscribe(Placed, () => assert.fail('at once'), group('throws'))
      await bus.subscribe(Placed, () => Promise.reject(new Error('later')), group('rejects'))
      await bus.subscribe(Placed, () => void handled++, group('sound'))
      for (let n = 0; n < 20; n++) await bus.publish(Placed.create({ n }))
      await bus.idle({ timeout: ctx.options.patience })
      assert.equal(handled, 20)
      assert.equal(await bus.deadLetters.count({ group: ctx.name('sound') }), 0)
      assert.equal(await bus.deadLetters.count({ group: ctx.name('throws') }), 20)
      assert.equal(await bus.deadLetters.count({ group: ctx.name('rejects') }), 20)
    },
  },
  {
    name: 'bus: stop gives back what has not begun without counting an attempt, and another bus handles it',
    needs: (c) => c.groups && c.durable && c.multiProcess,
    async run(ctx) {
      const [first, second] = [await ctx.bus(), await ctx.bus()]
      const gate = new Gate()
      let begun = 0
      const hold = async (): Promise<void> => {
        begun += 1
        await gate.opened
      }
      await first.subscribe(Placed, hold, { group: ctx.group, concurrency: 1, prefetch: 10 })
      for (let n = 0; n < 10; n++) await first.publish(Placed.create({ n }))
      await ctx.eventually(() => begun === 1 && first.subscriptions()[0]?.waiting !== undefined, 'the first handler')
      const stopped = first.stop()
      gate.open()
      await ctx.within(stopped, 'stop')
      const attempts: number[] = []
      await second.subscribe(Placed, (_, { attempt }) => void attempts.push(attempt), { group: ctx.group })
      await ctx.eventually(() => attempts.length >= 10 - begun, 'the rest')
      await second.idle({ timeout: ctx.options.patience })
      assert.deepEqual(
        attempts,
        Array.from({ length: 10 - begun }, () => 1),
      )
    },
  },
  {
    name: 'bus: stop drains what runs, and ends by its deadline though a handler hangs',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      let aborted = false
      let begun = false
      const hang = (_: Message, { signal }: { readonly signal: AbortSignal }): Promise<never> => {
        begun = true
        signal.addEventListener('abort', () => (aborted = true))
        return new Promise(() => undefined)
      }
      await bus.subscribe(Placed, hang, { group: ctx.group })
      await bus.publish(Placed.create({ n: 1 }))
      await ctx.eventually(() => begun, 'the handler to begin')
      await ctx.within(bus.stop({ deadline: 300 }), 'stop by its deadline', 10_000)
      assert.equal(aborted, true, 'the signal of the hanging handler was not aborted')
      await assert.rejects(bus.publish(Placed.create({ n: 2 })), 'a stopped bus published')
    },
  },
  {
    name: 'bus: a paused subscription begins nothing, and after resume nothing is missing',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: number[] = []
      const subscription = await bus.subscribe(Placed, ({ data }) => void seen.push(data.n), { group: ctx.group })
      subscription.pause()
      for (let n = 0; n < 50; n++) await bus.publish(Placed.create({ n }, {}, { key: 'k' }))
      await ctx.grace()
      assert.deepEqual(seen, [])
      subscription.resume()
      await bus.idle({ timeout: ctx.options.patience })
      assert.deepEqual(
        seen,
        Array.from({ length: 50 }, (_, n) => n),
      )
    },
  },
  {
    name: 'bus: a high priority passes what waits, and nothing starves',
    needs: (c) => c.groups,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: number[] = []
      const gate = new Gate()
      const handler = async ({ data }: { readonly data: { readonly n: number } }): Promise<void> => {
        seen.push(data.n)
        if (data.n === -1) await gate.opened
      }
      const member = await bus.subscribe(Placed, handler, { group: ctx.group, concurrency: 1, prefetch: 100 })
      await bus.publish(Placed.create({ n: -1 }))
      await ctx.eventually(() => seen.length === 1, 'the first')
      for (let n = 0; n < 10; n++) await bus.publish(Placed.create({ n }, {}, { key: `low${n}` }), { priority: 'low' })
      await bus.publish(Placed.create({ n: 100 }, {}, { key: 'urgent' }), { priority: 'critical' })
      await ctx.eventually(() => member.stats().waiting === 11, 'all to wait')
      gate.open()
      await bus.idle({ timeout: ctx.options.patience })
      assert.equal(seen[1], 100, `handled ${seen.join(', ')}`)
      assert.equal(seen.length, 12)
    },
  },
  {
    name: 'bus: a command goes to its one handler and a query is answered',
    needs: (c) => c.groups && c.broadcast,
    async run(ctx) {
      const bus = await ctx.bus()
      const Charge = command(ctx.name('Charge'), typed<{ readonly n: number }>())
      const Double = query(ctx.name('Double'), typed<{ readonly n: number }>(), typed<number>())
      const charged: number[] = []
      await bus.subscribe(Charge, ({ data }) => void charged.push(data.n))
      await bus.subscribe(Double, ({ data }) => data.n * 2)
      await bus.send(Charge.create({ n: 7 }))
      assert.equal(await bus.request(Double.create({ n: 21 }), { timeout: ctx.options.patience }), 42)
      await ctx.eventually(() => charged.length === 1, 'the command')
      await assert.rejects(
        bus.subscribe(Charge, () => undefined),
        'a second handler of a command was taken',
      )
    },
  },
  {
    name: 'bus: a query is answered across processes',
    needs: (c) => c.groups && c.broadcast && c.multiProcess,
    async run(ctx) {
      const [asking, answering] = [await ctx.bus(), await ctx.bus()]
      const Double = query(ctx.name('Double'), typed<{ readonly n: number }>(), typed<number>())
      await answering.subscribe(Double, ({ data }) => data.n * 2)
      const ask = (n: number): Promise<unknown> =>
        asking.request(Double.create({ n }), { timeout: ctx.options.patience })
      assert.deepEqual(await Promise.all([1, 2, 3].map(ask)), [2, 4, 6])
    },
  },
  {
    name: 'bus: a delay at publish is kept, and refused where the broker cannot',
    async run(ctx) {
      const bus = await ctx.bus()
      const publish = (): Promise<void> => bus.publish(Placed.create({ n: 1 }), { delay: 400 })
      if (!ctx.capabilities.delay) return assert.rejects(publish(), { name: 'UnsupportedError' })
      const came: number[] = []
      await bus.subscribe(Placed, () => void came.push(Date.now()), { broadcast: !ctx.capabilities.groups })
      const start = Date.now()
      await publish()
      await ctx.eventually(() => came.length === 1, 'the delayed message')
      assert.ok((came[0] ?? 0) >= start + 400, `it came after ${(came[0] ?? 0) - start} ms`)
    },
  },
]
