import assert from 'node:assert/strict'
import { assertEachOnce, message, numbered, numberOf } from '../../suite/messages.ts'
import type { Verdict } from '../../../broker/index.ts'
import type { Check } from '../check.ts'
import { ack } from '../verdicts.ts'
import { Gate, sleep } from '../../suite/waiting.ts'

/** No more in memory than asked for. */
export const backPressureChecks: readonly Check[] = [
  {
    name: 'at most prefetch deliveries are unsettled, and the window is used to the full',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 7 }, async () => {
        await sleep(2)
        return ack
      })
      const sent = numbered(ctx.topic, 400, 40)
      await broker.publish(sent)
      await seen.received(400)
      assert.equal(seen.peak, 7)
      assertEachOnce(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'with unsettled deliveries at the limit nothing more is handed out until one is settled',
    async run(ctx) {
      const broker = await ctx.broker()
      const gates: Gate[] = []
      const seen = await ctx.collect(broker, { prefetch: 3 }, async () => {
        const gate = new Gate()
        gates.push(gate)
        await gate.opened
        return ack
      })
      await broker.publish(numbered(ctx.topic, 10, 10))
      await seen.received(3)
      await ctx.grace()
      assert.equal(seen.deliveries.length, 3)
      gates[1]?.open()
      await seen.received(4)
      await ctx.grace()
      assert.equal(seen.deliveries.length, 4)
      const openAll = setInterval(() => gates.forEach((gate) => gate.open()), 5)
      ctx.onEnd(() => clearInterval(openAll))
      await seen.received(10)
      await seen.settled()
    },
  },
  {
    name: 'with prefetch 1 messages of a key come one at a time, in order',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 1 }, async () => {
        await sleep(1)
        return ack
      })
      await broker.publish(numbered(ctx.topic, 100, 1))
      await seen.received(100)
      assert.equal(seen.peak, 1)
      assert.deepEqual(
        seen.deliveries.map(numberOf),
        Array.from({ length: 100 }, (_, n) => n),
      )
    },
  },
  {
    name: 'prefetch holds for each member on its own',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const members = [
        await ctx.collect(broker, { prefetch: 2 }, slow),
        await ctx.collect(broker, { prefetch: 5 }, slow),
        await ctx.collect(broker, { prefetch: 3, group: ctx.name('other') }, slow),
      ]
      await broker.publish(numbered(ctx.topic, 300, 60))
      await members[2]?.received(300)
      const both = (): number => (members[0]?.deliveries.length ?? 0) + (members[1]?.deliveries.length ?? 0)
      await ctx.eventually(
        () => both() >= 300,
        () => `300 messages over two members; ${both()} came`,
      )
      for (const [index, limit] of [2, 5, 3].entries()) {
        assert.ok((members[index]?.peak ?? 0) <= limit, `a member with prefetch ${limit} had ${members[index]?.peak}`)
      }
    },
  },
  {
    name: 'memory stays flat under a large backlog with prefetch 10',
    needs: (c) => c.durable && c.multiProcess && c.replay,
    heavy: true,
    async run(ctx) {
      const broker = await ctx.broker()
      const [small, large] = [ctx.name('small'), ctx.name('large')]
      const body = 'x'.repeat(500)
      const fill = async (topic: string, count: number): Promise<void> => {
        for (let left = count; left > 0; left -= 1_000) {
          const batch = Array.from({ length: Math.min(left, 1_000) }, (_, n) => ({
            topic,
            message: message({ body, key: `k${n}` }),
          }))
          await broker.publish(batch)
        }
      }
      await fill(small, 100)
      await fill(large, ctx.options.backlog)
      const child = await ctx.child({ exposeGc: true })
      const hold = [{ act: { do: 'hold' as const } }]
      const subscribe = (member: string, topic: string): Promise<void> =>
        child.subscribe(ctx.spec({ topics: [topic], group: ctx.name(member), from: 'earliest' }), hold, true, member)
      // How fast it goes is not the question here: it is waited for as long as it goes on.
      const has = async (member: string, count: number): Promise<void> => {
        for (let last = await child.count(member); last < count; last = await child.count(member)) {
          const before = last
          await ctx.eventually(async () => (await child.count(member)) > before, `more than ${before} of the backlog`)
        }
      }
      await subscribe('small', small)
      await has('small', 10)
      const base = await child.heap()
      await subscribe('large', large)
      await has('large', 10)
      const limit = base + 8 * 2 ** 20
      const flat = async (when: string): Promise<void> => {
        const heap = await child.heap()
        assert.ok(heap < limit, `${when}: ${heap} bytes of heap, ${base} with a small backlog`)
      }
      await flat(`holding 10 of ${ctx.options.backlog}`)
      assert.equal(await child.count('large'), 10, 'more than prefetch was handed out')
      await child.open()
      for (const part of [0.25, 0.5, 0.75, 1]) {
        await has('large', ctx.options.backlog * part)
        await flat(`${part * 100} % consumed`)
      }
    },
  },
]

async function slow(): Promise<Verdict> {
  await sleep(2)
  return ack
}
