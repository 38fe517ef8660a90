import assert from 'node:assert/strict'
import { assertEachOnce, assertKeyOrder, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, deadLetter, firstTime, redeliver, release } from '../verdicts.ts'
import { Gate } from '../../suite/waiting.ts'

/** Order by key at the port: deliveries are handed out in the order of the log. */
export const orderChecks: readonly Check[] = [
  {
    name: 'messages of one key are delivered in the order of their batch',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 50 })
      await broker.publish(numbered(ctx.topic, 1_000, 20))
      await seen.received(1_000)
      assertKeyOrder(seen.deliveries)
    },
  },
  {
    name: 'messages of one key are delivered in the order of the calls, also of calls that are not awaited',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 50 })
      await Promise.all(numbered(ctx.topic, 500, 5).map((one) => broker.publish([one])))
      await seen.received(500)
      assertKeyOrder(seen.deliveries)
    },
  },
  {
    name: 'order holds when verdicts come out of order',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const gates: Gate[] = []
      const seen = await ctx.collect(broker, { prefetch: 10 }, async () => {
        const gate = new Gate()
        gates.push(gate)
        // The last of each window is settled first.
        if (gates.length === 10) for (const one of gates.splice(0).toReversed()) setImmediate(one.open)
        await gate.opened
        return ack
      })
      await broker.publish(numbered(ctx.topic, 200, 4))
      await seen.received(200)
      assertKeyOrder(seen.deliveries)
      assertEachOnce(seen.ids, [...new Set(seen.ids)])
    },
  },
  {
    name: 'order holds for messages of a binary body, of several types and of several publishers in turn',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const sent = numbered(ctx.topic, 100, 1).map(({ topic, message }, n) => ({
        topic,
        message: { ...message, type: `Type${n % 3}`, version: 1 + (n % 2), body: new TextEncoder().encode(String(n)) },
      }))
      for (let n = 0; n < 100; n += 10) await broker.publish(sent.slice(n, n + 10))
      await seen.received(100)
      const order = seen.deliveries.map(({ message: { body } }) => Number(new TextDecoder().decode(body as Uint8Array)))
      assert.deepEqual(
        order,
        sent.map((_, n) => n),
      )
    },
  },
  {
    name: 'a message that leaves the line lets those behind it pass, and they stay in order',
    needs: (c) => c.order === 'key' && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 3 ? redeliver(delivery, 400) : ack))
      const seen = await ctx.collect(broker, {}, failing)
      await broker.publish(numbered(ctx.topic, 30, 1))
      await seen.received(31)
      const order = seen.deliveries.map(numberOf)
      assert.equal(order.lastIndexOf(3), 30, 'the redelivered message came before those that it let pass')
      order.pop()
      assert.deepEqual(
        order,
        Array.from({ length: 30 }, (_, n) => n),
      )
    },
  },
  {
    name: 'a dead letter lets those behind it pass, in order',
    needs: (c) => c.order === 'key' && c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, (delivery) =>
        numberOf(delivery) % 10 === 0 ? deadLetter(delivery) : ack,
      )
      await broker.publish(numbered(ctx.topic, 100, 2))
      await seen.received(100)
      assertKeyOrder(seen.deliveries)
    },
  },
  {
    name: 'a released message is not passed by what comes from the log behind it',
    needs: (c) => c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(
        broker,
        { prefetch: 2 },
        firstTime((delivery) => (numberOf(delivery) % 10 === 0 ? release : ack)),
      )
      await broker.publish(numbered(ctx.topic, 60, 1))
      await seen.received(66)
      const order = seen.deliveries.map(numberOf)
      for (const n of [0, 10, 20, 30, 40, 50]) {
        // The one after it may have been out when it came back.
        const passing = order.slice(0, order.lastIndexOf(n)).find((one) => one > n + 1)
        assert.equal(passing, undefined, `${n} was released, and ${passing} came before it came again`)
      }
    },
  },
  {
    name: 'order by key holds within each of several groups',
    needs: (c) => c.order === 'key' && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const groups = await Promise.all([1, 2, 3].map((n) => ctx.collect(broker, { group: ctx.name(`group${n}`) })))
      await broker.publish(numbered(ctx.topic, 200, 8))
      for (const seen of groups) {
        await seen.received(200)
        assertKeyOrder(seen.deliveries)
      }
    },
  },
  {
    name: 'what was waiting when a member left comes to the next one in order',
    needs: (c) => c.order === 'key' && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const first = await ctx.collect(broker, { prefetch: 5 }, async (_, nth) => {
        if (nth > 20) await gate.opened
        return nth > 20 ? { release: true } : ack
      })
      await broker.publish(numbered(ctx.topic, 100, 4))
      await first.received(21)
      const left = first.stop()
      gate.open()
      await left
      const settled = first.deliveries.slice(0, 20)
      const second = await ctx.collect(broker)
      await second.received(80)
      assertKeyOrder([...settled, ...second.deliveries])
      assertEachOnce(
        [...settled, ...second.deliveries].map(({ message: { id } }) => id),
        [...new Set([...first.ids, ...second.ids])],
      )
    },
  },
]
