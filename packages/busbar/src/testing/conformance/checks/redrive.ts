import assert from 'node:assert/strict'
import type { EncodedMessage } from '../../../message/message.ts'
import { assertSame, message, numbered } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { deadLetter, firstTime } from '../verdicts.ts'

/** From the dead letters back to the group that failed, or to nowhere. */
export const redriveChecks: readonly Check[] = [
  {
    name: 'redrive brings a message back once, to the group that failed alone, with the same id and attempts anew',
    needs: (c) => c.deadLetters && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = await ctx.collect(broker, { group: ctx.name('failing') }, firstTime(deadLetter))
      const sound = await ctx.collect(broker, { group: ctx.name('sound') })
      const one = message({ key: 'k', body: '{"n":1}' })
      await broker.publish(ctx.batch(one))
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ group: ctx.name('failing') })) === 1,
        'the dead letter',
      )
      const [letter] = await broker.deadLetters.list({ group: ctx.name('failing') })
      assert.equal(await broker.deadLetters.redrive([letter?.id ?? '']), 1)
      await failing.received(2)
      const again = failing.deliveries[1]
      assertSame(again?.message ?? message(), one)
      assert.deepEqual([again?.attempts, again?.redeliveries], [0, 0])
      assert.equal(await broker.deadLetters.count({ group: ctx.name('failing') }), 0)
      await sound.fence(ctx.topic, ['k'])
      await ctx.grace()
      assert.deepEqual([failing.deliveries.length, sound.deliveries.length], [2, 1])
    },
  },
  {
    name: 'two redrives of one letter at once bring it back once',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, firstTime(deadLetter))
      await broker.publish(numbered(ctx.topic, 10, 1))
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ group: ctx.group })) === 10,
        'ten dead letters',
      )
      const redrive = (): Promise<number> => broker.deadLetters.redrive({ group: ctx.group })
      const counts = await Promise.all([redrive(), redrive(), redrive()])
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        10,
      )
      await seen.received(20)
      await seen.fence(ctx.topic, ['k0'])
      await ctx.grace()
      assert.equal(seen.deliveries.length, 20)
    },
  },
  {
    name: 'a redrive with an edit brings back the edited message under the same id',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, firstTime(deadLetter))
      const one = message({ body: 'wrong', key: 'k', metadata: { correlationId: 'c', old: '1' } })
      await broker.publish(ctx.batch(one))
      await ctx.eventually(async () => (await broker.deadLetters.count({ group: ctx.group })) === 1, 'the dead letter')
      assert.equal(await broker.deadLetters.redrive({ messageId: one.id, group: ctx.group }, edit), 1)
      await seen.received(2)
      const edited = { ...one, body: 'right', metadata: { ...one.metadata, edited: 'yes' } }
      assertSame(seen.deliveries[1]?.message ?? message(), edited)
    },
  },
  {
    name: 'what fails again after a redrive is put aside again, once',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, deadLetter)
      await broker.publish(numbered(ctx.topic, 1, 1))
      for (let round = 1; round <= 3; round++) {
        await seen.received(round)
        await ctx.eventually(
          async () => (await broker.deadLetters.count({ group: ctx.group })) === 1,
          'the dead letter',
        )
        if (round < 3) assert.equal(await broker.deadLetters.redrive({ group: ctx.group }), 1)
      }
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 1)
    },
  },
  {
    name: 'one message dead in two groups is two letters, and each is redriven on its own',
    needs: (c) => c.deadLetters && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const [a, b] = [ctx.name('a'), ctx.name('b')]
      const first = await ctx.collect(broker, { group: a }, firstTime(deadLetter))
      const second = await ctx.collect(broker, { group: b }, firstTime(deadLetter))
      const one = message({ key: 'k' })
      await broker.publish(ctx.batch(one))
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ messageId: one.id })) === 2,
        'two dead letters',
      )
      assert.equal(await broker.deadLetters.redrive({ group: a }), 1)
      await first.received(2)
      await second.fence(ctx.topic, ['k'])
      await ctx.grace()
      assert.equal(second.deliveries.length, 1)
      assert.equal(await broker.deadLetters.count({ group: b }), 1)
    },
  },
  {
    name: 'what is discarded is gone and never comes again',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, firstTime(deadLetter))
      await broker.publish(numbered(ctx.topic, 4, 1))
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ group: ctx.group })) === 4,
        'four dead letters',
      )
      const [first] = await broker.deadLetters.list({ group: ctx.group })
      assert.equal(await broker.deadLetters.discard([first?.id ?? '']), 1)
      assert.equal(await broker.deadLetters.get(first?.id ?? ''), undefined)
      assert.equal(await broker.deadLetters.discard({ group: ctx.group }), 3)
      assert.equal(await broker.deadLetters.redrive({ group: ctx.group }), 0)
      await seen.fence(ctx.topic, ['k0'])
      assert.equal(seen.deliveries.length, 4)
    },
  },
  {
    name: 'dead letters survive a restart and are redriven by another broker',
    needs: (c) => c.deadLetters && c.durable && c.multiProcess,
    async run(ctx) {
      const first = await ctx.broker()
      const before = await ctx.collect(first, {}, deadLetter)
      const [sent] = numbered(ctx.topic, 1, 1)
      await first.publish(sent === undefined ? [] : [sent])
      await before.received(1)
      await first.stop()
      const second = await ctx.broker()
      const seen = await ctx.collect(second)
      const third = await ctx.broker()
      assert.equal(await third.deadLetters.count({ group: ctx.group }), 1)
      assert.equal(await third.deadLetters.redrive({ group: ctx.group }), 1)
      await seen.received(1)
      assertSame(seen.deliveries[0]?.message ?? message(), sent?.message ?? message())
    },
  },
]

/** An edit that tries to change the id as well. */
function edit({ message: wrong }: { readonly message: EncodedMessage }): EncodedMessage {
  return { ...wrong, id: 'another', body: 'right', metadata: { ...wrong.metadata, edited: 'yes' } }
}
