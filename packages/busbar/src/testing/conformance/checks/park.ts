import assert from 'node:assert/strict'
import { assertKeyOrder, message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, deadLetter, firstTime, redeliver, rejects } from '../verdicts.ts'

/** `onFailure: 'park'`: what is behind a failed message of its key waits for it. */
export const parkChecks: readonly Check[] = [
  {
    name: 'parking: those behind a dead letter of their key wait, and other keys go on',
    needs: (c) => c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 2 ? deadLetter(delivery) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 4 }, failing)
      await broker.publish(numbered(ctx.topic, 30, 2))
      await ctx.eventually(
        () => seen.deliveries.filter(({ message: { key } }) => key === 'k1').length === 15,
        'all of the other key',
      )
      await seen.fence(ctx.topic, ['k1'])
      await ctx.grace()
      const handled = seen.deliveries.filter(({ message: { key } }) => key === 'k0').map(numberOf)
      assert.deepEqual(handled.slice(0, 2), [0, 2])
      // What was already in memory when its head failed is the engine's to hold; nothing more may be handed out.
      assert.ok(handled.length <= 5, `${handled.length} of a failed key were handed out`)
    },
  },
  {
    name: 'parking: a redrive lets what is parked go on in order, each after the one before',
    needs: (c) => c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 0 ? deadLetter(delivery) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 1 }, failing)
      await broker.publish(numbered(ctx.topic, 20, 1))
      await parked(19)
      assert.equal(await broker.deadLetters.redrive({ group: ctx.group, reason: 'failed' }), 1)
      await seen.received(21)
      assert.deepEqual(seen.deliveries.map(numberOf), [0, ...Array.from({ length: 20 }, (_, n) => n)])
      await parked(0)
      const more = numbered(ctx.topic, 5, 1, 20)
      await broker.publish(more)
      await seen.received(26)
      assertKeyOrder(seen.deliveries.slice(1))

      async function parked(count: number): Promise<void> {
        const now = async (): Promise<number | undefined> =>
          (await broker.metrics()).groups.find(({ group }) => group === ctx.group)?.parked
        await ctx.eventually(async () => (await now()) === count, `${count} parked messages`)
      }
    },
  },
  {
    name: 'parking: discarding the failed one lets what is parked go on',
    needs: (c) => c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 0 ? deadLetter(delivery) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 1 }, failing)
      await broker.publish(numbered(ctx.topic, 10, 1))
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ group: ctx.group, reason: 'failed' })) === 1,
        'the dead letter',
      )
      assert.equal(await broker.deadLetters.discard({ group: ctx.group, reason: 'failed' }), 1)
      await seen.received(10)
      assert.deepEqual(
        seen.deliveries.map(numberOf),
        Array.from({ length: 10 }, (_, n) => n),
      )
    },
  },
  {
    name: 'parking: those behind a message that is to be redelivered wait for it',
    needs: (c) => c.park && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 0 ? redeliver(delivery, 500) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 1 }, failing)
      const other = message({ key: 'other' })
      await broker.publish([...numbered(ctx.topic, 10, 1), ...ctx.batch(other)])
      await seen.received(12)
      const ofKey = seen.deliveries.filter(({ message: { key } }) => key === 'k0')
      assert.deepEqual(ofKey.map(numberOf), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    },
  },
  {
    name: 'parking: what is parked is listed as parked, in order, and a redrive of it does not let it pass its head',
    needs: (c) => c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) === 0 ? deadLetter(delivery) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 1 }, failing)
      await broker.publish(numbered(ctx.topic, 5, 1))
      const parked = { group: ctx.group, reason: 'parked' } as const
      await ctx.eventually(async () => (await broker.deadLetters.count(parked)) === 4, 'four to be listed as parked')
      assert.deepEqual((await broker.deadLetters.list(parked)).map(numberOf), [1, 2, 3, 4])
      await broker.deadLetters.redrive(parked)
      await seen.fence(ctx.topic, ['another key'])
      await ctx.grace()
      assert.equal(seen.deliveries.length, 1, 'a parked message passed the failed one')
      await broker.deadLetters.redrive({ group: ctx.group })
      await seen.received(6)
      assert.deepEqual(seen.deliveries.map(numberOf), [0, 0, 1, 2, 3, 4])
    },
  },
  {
    name: 'parking: one that fails while it is let go on holds those behind it again',
    needs: (c) => c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = firstTime((delivery) => (numberOf(delivery) % 3 === 0 ? deadLetter(delivery) : ack))
      const seen = await ctx.collect(broker, { onFailure: 'park', prefetch: 1 }, failing)
      await broker.publish(numbered(ctx.topic, 7, 1))
      for (const head of [0, 3, 6]) {
        const failed = async (): Promise<number[]> => {
          return (await broker.deadLetters.list({ group: ctx.group, reason: 'failed' })).map(numberOf)
        }
        await ctx.eventually(async () => (await failed()).join() === String(head), `${head} to be the dead letter`)
        await broker.deadLetters.redrive({ group: ctx.group, reason: 'failed' })
      }
      await seen.received(10)
      assert.deepEqual(seen.deliveries.map(numberOf), [0, 0, 1, 2, 3, 3, 4, 5, 6, 6])
    },
  },
  {
    name: 'parking: what is parked survives a restart, in order',
    needs: (c) => c.park && c.durable && c.multiProcess,
    async run(ctx) {
      const first = await ctx.broker()
      const before = await ctx.collect(first, { onFailure: 'park', prefetch: 1 }, deadLetter)
      await first.publish(numbered(ctx.topic, 5, 1))
      await before.received(1)
      await ctx.eventually(
        async () => (await first.deadLetters.count({ group: ctx.group, reason: 'failed' })) === 1,
        'the dead letter',
      )
      await first.stop()
      const second = await ctx.broker()
      const seen = await ctx.collect(second, { onFailure: 'park', prefetch: 1 })
      await second.publish(numbered(ctx.topic, 5, 1, 5))
      await seen.fence(ctx.topic, ['another key'])
      await second.deadLetters.redrive({ group: ctx.group, reason: 'failed' })
      await seen.received(10)
      assert.deepEqual(seen.deliveries.map(numberOf), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    },
  },
  {
    name: 'a broker that cannot park refuses to',
    needs: (c) => !c.park,
    async run(ctx) {
      const broker = await ctx.broker()
      await rejects(() => ctx.collect(broker, { onFailure: 'park' }), 'UnsupportedError', 'a parking subscription')
    },
  },
]
