import assert from 'node:assert/strict'
import type { EncodedMessage } from '../../../message/message.ts'
import type { Outgoing } from '../../../broker/index.ts'
import { message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, firstTime, redeliver, rejects } from '../verdicts.ts'

/** Later, and never earlier. */
export const delayChecks: readonly Check[] = [
  {
    name: 'a delayed message never comes early, and comes',
    needs: (c) => c.delay,
    async run(ctx) {
      const broker = await ctx.broker()
      const came = new Map<string, number>()
      const seen = await ctx.collect(broker, { prefetch: 50 }, ({ message: { id } }) => {
        came.set(id, Date.now())
        return ack
      })
      const start = Date.now()
      const sent = [1_200, 50, 700, 300, 1, 450].map((delay) => later(ctx.topic, start + delay))
      await broker.publish(sent)
      await seen.receivedAll(sent.map((one) => one.message.id))
      for (const one of sent) {
        const early = one.deliverAt - (came.get(one.message.id) ?? 0)
        assert.ok(early <= 0, `a message came ${early} ms early`)
      }
    },
  },
  {
    name: 'a delayed message holds up no other, of the same key neither',
    needs: (c) => c.delay,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const delayed = later(ctx.topic, Date.now() + 3_000, { key: 'k0' })
      const others = numbered(ctx.topic, 20, 2)
      await broker.publish([delayed, ...others])
      await seen.receivedAll(others.map((one) => one.message.id))
      assert.ok(!seen.ids.includes(delayed.message.id) || Date.now() >= delayed.deliverAt)
      await seen.receivedAll([delayed.message.id])
    },
  },
  {
    name: 'a moment in the past means at once',
    needs: (c) => c.delay,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const past = later(ctx.topic, Date.now() - 60_000)
      await broker.publish([past])
      await seen.receivedAll([past.message.id])
    },
  },
  {
    name: 'a delayed message is the same, byte for byte, and every group gets it once',
    needs: (c) => c.delay && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const groups = await Promise.all(['a', 'b'].map((name) => ctx.collect(broker, { group: ctx.name(name) })))
      const body = Uint8Array.from({ length: 256 }, (_, n) => n)
      const one = later(ctx.topic, Date.now() + 300, {
        key: 'k',
        subject: 's',
        body,
        contentType: 'application/octet-stream',
      })
      await broker.publish([one])
      for (const seen of groups) {
        await seen.received(1)
        const { key, subject, contentType, metadata } = seen.deliveries[0]?.message ?? message()
        assert.deepEqual(
          { key, subject, contentType },
          { key: 'k', subject: 's', contentType: 'application/octet-stream' },
        )
        assert.equal(metadata.correlationId, one.message.metadata.correlationId)
        assert.deepEqual(Uint8Array.from(seen.deliveries[0]?.message.body as Uint8Array), body)
      }
      await ctx.grace()
      for (const seen of groups) assert.equal(seen.deliveries.length, 1)
    },
  },
  {
    name: 'a delayed message comes once though several brokers watch for it',
    needs: (c) => c.delay && c.multiProcess,
    async run(ctx) {
      const [broker, ...others] = await Promise.all([ctx.broker(), ctx.broker(), ctx.broker(), ctx.broker()])
      const members = await Promise.all([broker, ...others].map((one) => ctx.collect(one)))
      const at = Date.now() + 500
      const sent = Array.from({ length: 40 }, () => later(ctx.topic, at))
      await broker.publish(sent)
      const ids = (): string[] => members.flatMap((member) => member.ids)
      await ctx.eventually(
        () => new Set(ids()).size === 40,
        () => `40 delayed messages; ${ids().length} came`,
      )
      await ctx.grace()
      assert.equal(ids().length, 40)
    },
  },
  {
    name: 'a delay survives a restart and is still not early',
    needs: (c) => c.delay && c.durable && c.multiProcess,
    async run(ctx) {
      const first = await ctx.broker()
      const before = await ctx.collect(first)
      const one = later(ctx.topic, Date.now() + 1_500)
      await first.publish([one])
      await before.stop()
      await first.stop()
      const seen = await ctx.collect(await ctx.broker(), {}, () => {
        assert.ok(Date.now() >= one.deliverAt, 'it came early')
        return ack
      })
      await seen.receivedAll([one.message.id])
      assert.ok(Date.now() >= one.deliverAt)
      assert.equal(before.deliveries.length, 0)
    },
  },
  {
    name: 'a delay survives kill -9 of its publisher',
    needs: (c) => c.delay && c.durable && c.multiProcess,
    async run(ctx) {
      const publisher = await ctx.child()
      const seen = await ctx.collect(await ctx.broker())
      const one = later(ctx.topic, Date.now() + 1_000)
      await publisher.publish([one])
      await publisher.kill()
      await seen.receivedAll([one.message.id])
      assert.ok(Date.now() >= one.deliverAt)
    },
  },
  {
    name: 'a redelivery is never early',
    needs: (c) => c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const due = new Map<string, number>()
      const early: number[] = []
      const seen = await ctx.collect(broker, {}, (delivery) => {
        const { id } = delivery.message
        const at = due.get(id)
        if (at !== undefined) {
          early.push(at - Date.now())
          return ack
        }
        const after = 100 + due.size * 150
        due.set(id, Date.now() + after)
        return redeliver(delivery, after)
      })
      await broker.publish(numbered(ctx.topic, 8, 4))
      await seen.received(16)
      assert.ok(Math.max(...early) <= 0, `a redelivery came ${Math.max(...early)} ms early`)
    },
  },
  {
    name: 'redeliveries that wait take no place in the window',
    needs: (c) => c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 1 }, (delivery) => {
        return numberOf(delivery) < 5 ? redeliver(delivery, 60_000) : ack
      })
      await broker.publish(numbered(ctx.topic, 30, 3))
      await seen.received(30)
    },
  },
  {
    name: 'a redelivery survives a restart with its attempts and is still not early',
    needs: (c) => c.redelivery && c.durable && c.multiProcess,
    async run(ctx) {
      const first = await ctx.broker()
      let due = 0
      const before = await ctx.collect(
        first,
        {},
        firstTime((delivery) => {
          due = Date.now() + 1_200
          return redeliver(delivery, 1_200)
        }),
      )
      await first.publish(numbered(ctx.topic, 1, 1))
      await before.received(1)
      await first.stop()
      const seen = await ctx.collect(await ctx.broker())
      await seen.received(1)
      assert.ok(Date.now() >= due, `it came ${due - Date.now()} ms early`)
      const { attempts, redeliveries } = seen.deliveries[0] ?? { attempts: -1, redeliveries: -1 }
      assert.deepEqual({ attempts, redeliveries }, { attempts: 1, redeliveries: 1 })
    },
  },
  {
    name: 'a broker that cannot delay refuses a delay and sends nothing',
    needs: (c) => !c.delay,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      await rejects(
        () => broker.publish([later(ctx.topic, Date.now() + 100, { key: 'k' })]),
        'UnsupportedError',
        'a delay',
      )
      await seen.fence(ctx.topic, ['k'])
      await ctx.grace()
      assert.equal(seen.deliveries.length, 0)
    },
  },
]

function later(
  topic: string,
  deliverAt: number,
  given: Partial<EncodedMessage> = {},
): Outgoing & { readonly deliverAt: number } {
  return { topic, message: message(given), deliverAt }
}
