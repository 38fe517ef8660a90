import assert from 'node:assert/strict'
import { numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, deadLetter, redeliver, rejects, release } from '../verdicts.ts'
import { Gate } from '../../suite/waiting.ts'

/** Start, stop, and everything in between that can be called at a bad moment. */
export const lifecycleChecks: readonly Check[] = [
  {
    name: 'start may be called twice and at once',
    async run(ctx) {
      const broker = await ctx.broker()
      await Promise.all([broker.start(), broker.start()])
      const seen = await ctx.collect(broker)
      await broker.publish(numbered(ctx.topic, 1))
      await seen.received(1)
    },
  },
  {
    name: 'stop may be called twice and at once, of subscriptions and of the broker',
    async run(ctx) {
      const broker = await ctx.broker()
      const members = await Promise.all(
        Array.from({ length: 5 }, (_, n) => ctx.collect(broker, { group: ctx.name(`g${n}`) })),
      )
      await broker.publish(numbered(ctx.topic, 50, 5))
      const stops = members.flatMap((member) => [member.stop(), member.stop()])
      await ctx.within(Promise.all([...stops, broker.stop(), broker.stop()]), 'all stops')
      await broker.stop()
      for (const member of members) await member.stop()
    },
  },
  {
    name: 'a stopped broker refuses to publish, subscribe and be pinged',
    async run(ctx) {
      const broker = await ctx.broker()
      await broker.ping()
      await broker.stop()
      await rejects(() => broker.publish(numbered(ctx.topic, 1)), 'BrokerError', 'a publish after stop')
      await rejects(() => ctx.collect(broker), 'BrokerError', 'a subscription after stop')
      await assert.rejects(broker.ping(), 'a stopped broker answered a ping')
    },
  },
  {
    name: 'a publish that was confirmed just before stop is kept',
    needs: (c) => c.durable && c.multiProcess && c.replay,
    async run(ctx) {
      const first = await ctx.broker()
      const sent = numbered(ctx.topic, 50, 5)
      const confirmed = Promise.all(sent.map((one) => first.publish([one])))
      await Promise.all([confirmed, confirmed.then(() => first.stop())])
      const seen = await ctx.collect(await ctx.broker(), { from: 'earliest' })
      await seen.received(50)
    },
  },
  {
    name: 'nothing is handed out from the moment that a subscription is stopped',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 2 })
      await broker.publish(numbered(ctx.topic, 500, 50))
      await seen.received(20)
      const stopped = seen.stop()
      const count = seen.deliveries.length
      await stopped
      await broker.publish(numbered(ctx.topic, 10, 10))
      await ctx.grace()
      assert.equal(seen.deliveries.length, count)
    },
  },
  {
    name: 'stop waits for deliveries that are being handled',
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const seen = await ctx.collect(broker, {}, async () => {
        await gate.opened
        return ack
      })
      await broker.publish(numbered(ctx.topic, 3, 3))
      await seen.received(3)
      let stopped = false
      const stop = seen.stop().then(() => (stopped = true))
      await ctx.grace()
      assert.equal(stopped, false, 'stop did not wait')
      assert.ok(seen.deliveries.every(({ signal }) => !signal.aborted))
      gate.open()
      await ctx.within(stop, 'stop after the handlers')
    },
  },
  {
    name: 'stop ends by its deadline, aborts the signals, and what is unsettled comes again',
    needs: (c) => c.delivery === 'at-least-once',
    async run(ctx) {
      const broker = await ctx.broker()
      const stuck = await ctx.collect(broker, {}, () => new Promise(() => undefined))
      const sent = numbered(ctx.topic, 3, 3)
      await broker.publish(sent)
      await stuck.received(3)
      await ctx.within(stuck.stop(200), 'stop by its deadline', 10_000)
      assert.ok(stuck.deliveries.every(({ signal }) => signal.aborted))
      const next = await ctx.collect(broker)
      await next.receivedAll(sent.map((one) => one.message.id))
    },
  },
  {
    name: 'the broker stops by its deadline though handlers hang',
    async run(ctx) {
      const broker = await ctx.broker()
      const stuck = await ctx.collect(broker, {}, () => new Promise(() => undefined))
      await broker.publish(numbered(ctx.topic, 3, 3))
      await stuck.received(3)
      await ctx.within(broker.stop({ deadline: 200 }), 'stop by its deadline', 10_000)
      assert.ok(stuck.deliveries.every(({ signal }) => signal.aborted))
    },
  },
  {
    name: 'the broker stops by its deadline though a subscription is being stopped without one',
    async run(ctx) {
      const broker = await ctx.broker()
      const stuck = await ctx.collect(broker, {}, () => new Promise(() => undefined))
      await broker.publish(numbered(ctx.topic, 1))
      await stuck.received(1)
      const first = stuck.stop()
      await ctx.within(broker.stop({ deadline: 200 }), 'stop by its deadline', 10_000)
      await ctx.within(first, 'the first stop as well')
      assert.ok(stuck.deliveries.every(({ signal }) => signal.aborted))
    },
  },
  {
    name: 'a verdict that comes after the stop deadline does no harm',
    needs: (c) => c.delivery === 'at-least-once' && c.deadLetters && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const late = await ctx.collect(broker, {}, async (delivery, nth) => {
        await gate.opened
        return [ack, redeliver(delivery), deadLetter(delivery), release][nth - 1] ?? ack
      })
      const sent = numbered(ctx.topic, 4, 4)
      await broker.publish(sent)
      await late.received(4)
      await late.stop(50)
      const next = await ctx.collect(broker)
      await next.receivedAll(sent.map((one) => one.message.id))
      gate.open()
      await late.settled()
      await next.fence(ctx.topic, ['k0', 'k1', 'k2', 'k3'])
      await ctx.grace()
      assert.equal(next.deliveries.length, 4, 'a late verdict brought a message back')
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 0, 'a late verdict made a dead letter')
    },
  },
  {
    name: 'what was delivered and released at a stop comes to the next member with nothing counted',
    needs: (c) => c.groups && c.delivery === 'at-least-once' && c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const first = await ctx.collect(broker, { prefetch: 5 }, async () => {
        await gate.opened
        return release
      })
      await broker.publish(numbered(ctx.topic, 10, 1))
      await first.received(5)
      const stop = first.stop()
      gate.open()
      await stop
      const second = await ctx.collect(broker)
      await second.received(10)
      assert.deepEqual(
        second.deliveries.map(numberOf),
        Array.from({ length: 10 }, (_, n) => n),
      )
      assert.ok(
        second.deliveries.every(({ attempts, redeliveries, crashes }) => attempts + redeliveries + crashes === 0),
      )
    },
  },
]
