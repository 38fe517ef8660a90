import assert from 'node:assert/strict'
import { assertEachOnce, assertSame, message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, firstTime, redeliver, release } from '../verdicts.ts'
import { Gate } from '../../suite/waiting.ts'

/** Publish, deliver, settle. */
export const deliveryChecks: readonly Check[] = [
  {
    name: 'delivers each of 100 published messages as it was published',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const sent = Array.from({ length: 100 }, (_, n) => {
        return message({
          body: `{"n":${n}}`,
          metadata: { correlationId: `c${n}`, number: String(n) },
          key: `k${n % 7}`,
        })
      })
      await broker.publish(ctx.batch(...sent))
      await seen.receivedAll(sent.map(({ id }) => id))
      for (const one of sent) assertSame(seen.of(one.id)[0]?.message ?? message(), one)
    },
  },
  {
    name: 'loses none of 5,000 messages of concurrent publishers and, while nothing fails, delivers each once',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 100 })
      const sent = numbered(ctx.topic, 5_000, 50)
      const batches = Array.from({ length: 100 }, (_, n) => sent.slice(n * 50, (n + 1) * 50))
      await Promise.all(batches.map((batch) => broker.publish(batch)))
      await seen.received(sent.length)
      await seen.fence(
        ctx.topic,
        Array.from({ length: 50 }, (_, n) => `k${n}`),
      )
      assertEachOnce(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'loses none of 1,000 messages published one by one',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const sent = numbered(ctx.topic, 1_000, 10)
      for (const one of sent) await broker.publish([one])
      await seen.received(sent.length)
      assertEachOnce(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'messages without a key are delivered as well',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const sent = numbered(ctx.topic, 200)
      await broker.publish(sent)
      await seen.received(sent.length)
      assertEachOnce(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a plain verdict is as good as a promise of one',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 3 }, (_, nth) => (nth % 2 === 0 ? ack : Promise.resolve(ack)))
      const sent = numbered(ctx.topic, 60, 3)
      await broker.publish(sent)
      await seen.received(sent.length)
      assertEachOnce(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a subscription misses nothing that was confirmed after it was made',
    async run(ctx) {
      const broker = await ctx.broker()
      for (let round = 0; round < 20; round++) {
        const topic = ctx.name(`topic${round}`)
        const seen = await ctx.collect(broker, { topics: [topic], group: ctx.name(`group${round}`) })
        const sent = numbered(topic, 1)
        await broker.publish(sent)
        await seen.receivedAll(sent.map(({ message: { id } }) => id))
      }
    },
  },
  {
    name: 'topics are kept apart',
    async run(ctx) {
      const broker = await ctx.broker()
      const [one, two] = [ctx.name('one'), ctx.name('two')]
      const seen = await ctx.collect(broker, { topics: [one] })
      await broker.publish([...numbered(two, 20, 2), ...numbered(one, 20, 2)])
      await seen.received(20)
      await seen.fence(one, ['k0', 'k1'])
      assert.equal(seen.deliveries.length, 20)
      assert.ok(seen.deliveries.every(({ topic }) => topic === one))
    },
  },
  {
    name: 'one subscription reads several topics, and each delivery says its topic and position',
    async run(ctx) {
      const broker = await ctx.broker()
      const topics = [ctx.name('one'), ctx.name('two'), ctx.name('three')]
      const seen = await ctx.collect(broker, { topics })
      await broker.publish(topics.flatMap((topic) => numbered(topic, 10, 2)))
      await seen.received(30)
      for (const topic of topics)
        assert.equal(seen.deliveries.filter((delivery) => delivery.topic === topic).length, 10)
      assert.ok(seen.deliveries.every(({ position }) => typeof position === 'string' && position !== ''))
    },
  },
  {
    name: 'an empty batch is confirmed at once',
    async run(ctx) {
      const broker = await ctx.broker()
      await ctx.within(broker.publish([]), 'an empty publish')
    },
  },
  {
    name: 'a first delivery has no attempts, redeliveries, crashes or failure, and its signal is not aborted',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      await broker.publish(numbered(ctx.topic, 5, 1))
      await seen.received(5)
      for (const { attempts, redeliveries, crashes, firstFailedAt, signal } of seen.deliveries) {
        assert.deepEqual({ attempts, redeliveries, crashes }, { attempts: 0, redeliveries: 0, crashes: 0 })
        assert.equal(firstFailedAt, undefined)
        assert.equal(signal.aborted, false)
      }
    },
  },
  {
    name: 'what is given back comes again with its attempts, redeliveries and first failure counted',
    needs: (c) => c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, (delivery) => (delivery.redeliveries < 3 ? redeliver(delivery) : ack))
      await broker.publish(numbered(ctx.topic, 1, 1))
      await seen.received(4)
      assert.deepEqual(
        seen.deliveries.map(({ attempts }) => attempts),
        [0, 1, 2, 3],
      )
      assert.deepEqual(
        seen.deliveries.map(({ redeliveries }) => redeliveries),
        [0, 1, 2, 3],
      )
      const failures = seen.deliveries.slice(1).map(({ firstFailedAt }) => firstFailedAt)
      assert.equal(new Set(failures).size, 1, `the first failure changed: ${failures.join(', ')}`)
      assert.equal(typeof failures[0], 'number')
    },
  },
  {
    name: 'what comes again is the same, byte for byte',
    needs: (c) => c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, firstTime(redeliver))
      const text = message({
        body: '{"text":"äöü"}',
        key: 'k',
        subject: 's',
        metadata: { correlationId: 'c', tenantId: 't' },
      })
      const binary = message({
        body: Uint8Array.from({ length: 256 }, (_, n) => n),
        contentType: 'application/octet-stream',
      })
      await broker.publish(ctx.batch(text, binary))
      await seen.received(4)
      for (const sent of [text, binary]) {
        assert.equal(seen.of(sent.id).length, 2)
        assertSame(seen.of(sent.id)[1]?.message ?? message(), sent)
      }
    },
  },
  {
    name: 'goes on after failures: with every fifth message given back once, all are settled',
    needs: (c) => c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) % 5 === 0 ? redeliver(delivery) : ack))
      const seen = await ctx.collect(broker, {}, failing)
      const sent = numbered(ctx.topic, 100, 10)
      await broker.publish(sent)
      await seen.received(120)
      for (const { message: one } of sent) assert.equal(seen.of(one.id).length, Number(one.body) % 5 === 0 ? 2 : 1)
    },
  },
  {
    name: 'a released message comes again in its place and nothing is counted',
    needs: (c) => c.delivery === 'at-least-once' && c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(
        broker,
        { prefetch: 1 },
        firstTime(() => release),
      )
      await broker.publish(numbered(ctx.topic, 3, 1))
      await seen.received(6)
      assert.deepEqual(seen.deliveries.map(numberOf), [0, 0, 1, 1, 2, 2])
      assert.ok(seen.deliveries.every(({ attempts, redeliveries, crashes }) => attempts + redeliveries + crashes === 0))
    },
  },
  {
    name: 'runs told with began are counted when the message comes again after a release',
    needs: (c) => c.delivery === 'at-least-once',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, async (delivery, nth) => {
        if (nth > 1) return ack
        await delivery.began(1)
        await delivery.began(2)
        return release
      })
      await broker.publish(numbered(ctx.topic, 1, 1))
      await seen.received(2)
      assert.ok((seen.deliveries[1]?.attempts ?? 0) >= 2, `attempts: ${seen.deliveries[1]?.attempts}`)
    },
  },
  {
    name: 'an unsettled message does not come again while its member lives',
    needs: (c) => c.delivery === 'at-least-once',
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const held = numbered(ctx.topic, 1, 1)
      const seen = await ctx.collect(broker, {}, async ({ message: { id } }) => {
        if (id === held[0]?.message.id) await gate.opened
        return ack
      })
      await broker.publish(held)
      await broker.publish(numbered(ctx.topic, 200, 20, 1))
      await seen.received(201)
      await ctx.grace()
      assert.equal(seen.deliveries.length, 201)
      gate.open()
      await seen.settled()
    },
  },
]
