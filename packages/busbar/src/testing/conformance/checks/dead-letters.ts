import assert from 'node:assert/strict'
import type { Failure } from '../../../broker/index.ts'
import { assertSame, message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { sleep } from '../../suite/waiting.ts'
import { ack, deadLetter, redeliver, rejects } from '../verdicts.ts'

/** Putting aside, at the port. */
export const deadLetterChecks: readonly Check[] = [
  {
    name: 'a dead letter holds the whole message, its failure, its origin, group and redeliveries',
    needs: (c) => c.deadLetters && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const failure: Failure = {
        reason: 'failed',
        error: { name: 'TypeError', message: 'no ünicode', stack: 'TypeError: no\n    at x' },
        handler: 'bill the order',
        attempts: 5,
        firstFailedAt: 1_700_000_000_123,
        lastFailedAt: 1_700_000_001_456,
      }
      const seen = await ctx.collect(broker, {}, (delivery) =>
        delivery.redeliveries < 2 ? redeliver(delivery) : { deadLetter: failure },
      )
      const text = message({
        key: 'k',
        subject: 's',
        metadata: { correlationId: 'c', traceparent: 'tp', own: 'ü' },
        revision: 4,
      })
      const binary = message({ body: Uint8Array.of(0, 255, 128), contentType: 'application/octet-stream' })
      await broker.publish(ctx.batch(text, binary))
      await ctx.eventually(async () => (await broker.deadLetters.count({ group: ctx.group })) === 2, 'two dead letters')
      for (const sent of [text, binary]) {
        const [letter, ...more] = await broker.deadLetters.list({ group: ctx.group, messageId: sent.id })
        assert.ok(letter !== undefined && more.length === 0)
        assertSame(letter.message, sent)
        assert.deepEqual(letter.failure, failure)
        const position = seen.of(sent.id)[0]?.position
        const { group, topic, redeliveries } = letter
        assert.deepEqual({ group, topic, redeliveries }, { group: ctx.group, topic: ctx.topic, redeliveries: 2 })
        assert.equal(letter.position, position, 'the position is not that of the first delivery')
        assert.deepEqual(await broker.deadLetters.get(letter.id), letter)
      }
    },
  },
  {
    name: 'a dead letter is settled: it does not come again, and those behind it are delivered',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 1 }, (delivery) =>
        numberOf(delivery) < 5 ? deadLetter(delivery) : ack,
      )
      await broker.publish(numbered(ctx.topic, 20, 1))
      await seen.received(20)
      await seen.fence(ctx.topic, ['k0'])
      assert.equal(seen.deliveries.length, 20)
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 5)
    },
  },
  {
    name: 'a message given back its times and then put aside delays no other key',
    needs: (c) => c.deadLetters && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 2 }, (delivery) => {
        if (delivery.message.key !== 'poison') return ack
        // The last wait is long for a slow machine's sake: the others have all of it.
        const wait = [50, 50, 3_000][delivery.redeliveries]
        return wait === undefined ? deadLetter(delivery) : redeliver(delivery, wait)
      })
      const poison = message({ key: 'poison' })
      const others = numbered(ctx.topic, 100, 10)
      await broker.publish([...ctx.batch(poison), ...others])
      await seen.receivedAll(others.map((one) => one.message.id))
      assert.ok(seen.of(poison.id).length < 4, 'the others came only after the poison had been put aside')
      await ctx.eventually(async () => (await broker.deadLetters.count({ group: ctx.group })) === 1, 'the dead letter')
      const [letter] = await broker.deadLetters.list({ group: ctx.group })
      assert.equal(letter?.failure.attempts, 4)
      assert.equal(seen.of(poison.id).length, 4)
    },
  },
  {
    name: 'dead letters are found by each field, oldest first, page by page',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const { deadLetters } = await ctx.broker()
      const sent = numbered(ctx.topic, 6, 2).map((one) => one.message)
      for (const [n, one] of sent.entries()) {
        const error = { name: n < 2 ? 'TypeError' : 'RangeError', message: 'x' }
        const failure = {
          reason: n < 3 ? 'failed' : 'invalid',
          error,
          handler: 'h',
          attempts: 1,
          firstFailedAt: n,
          lastFailedAt: 1000 + n,
        } as const
        const typed = { ...one, type: `Type${n % 2}` }
        await deadLetters.put({
          group: ctx.group,
          topic: n === 5 ? ctx.name('other') : ctx.topic,
          position: `p${n}`,
          message: typed,
          failure,
          redeliveries: n,
        })
      }
      const { group } = ctx
      const found = async (filter: Parameters<typeof deadLetters.list>[0]): Promise<number[]> => {
        const letters = await deadLetters.list({ group, ...filter })
        assert.equal(await deadLetters.count({ group, ...filter }), letters.length)
        return letters.map(numberOf)
      }
      assert.deepEqual(await found({}), [0, 1, 2, 3, 4, 5])
      assert.deepEqual(await found({ topic: ctx.topic }), [0, 1, 2, 3, 4])
      assert.deepEqual(await found({ type: 'Type1' }), [1, 3, 5])
      assert.deepEqual(await found({ key: 'k0' }), [0, 2, 4])
      assert.deepEqual(await found({ messageId: sent[4]?.id ?? '' }), [4])
      assert.deepEqual(await found({ reason: 'invalid' }), [3, 4, 5])
      assert.deepEqual(await found({ errorName: 'TypeError' }), [0, 1])
      assert.deepEqual(await found({ since: 1002, until: 1004 }), [2, 3])
      assert.deepEqual(await found({ type: 'Type0', reason: 'invalid' }), [4])
      assert.deepEqual(await deadLetters.list({ group: ctx.name('nobody') }), [])
      const first = await deadLetters.list({ group }, { limit: 4 })
      const rest = await deadLetters.list({ group }, { limit: 4, after: first[3]?.id ?? '' })
      assert.deepEqual([...first, ...rest].map(numberOf), [0, 1, 2, 3, 4, 5])
      assert.equal(rest.length, 2)
      assert.equal(await deadLetters.get('no-such-letter'), undefined)
    },
  },
  {
    name: 'dead letters of several topics come in the order in which they were put, also of one moment',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const { deadLetters } = await ctx.broker()
      const topics = [ctx.topic, ctx.name('second'), ctx.name('third')]
      const sent = numbered(ctx.topic, 40, 1).map((one) => one.message)
      for (const [n, one] of sent.entries()) {
        await deadLetters.put({
          group: ctx.group,
          // The first topic has many more than the others: a number of its own for each would not be in order.
          topic: (n % 5 < 3 ? topics[0] : topics[n % 5 === 3 ? 1 : 2]) as string,
          position: `p${n}`,
          message: one,
          failure: {
            reason: 'failed',
            error: { name: 'Error', message: 'x' },
            handler: 'h',
            attempts: 1,
            firstFailedAt: 0,
            lastFailedAt: 0,
          },
          redeliveries: 0,
        })
      }
      const letters = await deadLetters.list({ group: ctx.group })
      assert.deepEqual(letters.map(numberOf), [...sent.keys()])
    },
  },
  {
    name: 'dead letters are summed up by what failed, largest first',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const { deadLetters } = await ctx.broker()
      const put = (handler: string, errorName: string, at: number): Promise<void> =>
        deadLetters.put({
          group: ctx.group,
          topic: ctx.topic,
          position: '1',
          message: message(),
          failure: {
            reason: 'failed',
            error: { name: errorName, message: 'x' },
            handler,
            attempts: 1,
            firstFailedAt: at,
            lastFailedAt: at + 5,
          },
          redeliveries: 0,
        })
      await put('few', 'Error', 50)
      await put('many', 'Error', 20)
      await put('many', 'Error', 10)
      await put('many', 'TypeError', 30)
      await put('many', 'Error', 40)
      const sums = await deadLetters.summarize({ group: ctx.group })
      assert.deepEqual(sums[0], {
        group: ctx.group,
        type: 'ConformanceChecked',
        handler: 'many',
        reason: 'failed',
        errorName: 'Error',
        errorMessage: 'x',
        count: 3,
        firstFailedAt: 10,
        lastFailedAt: 45,
      })
      assert.equal(sums.length, 3)
      assert.deepEqual(
        sums.map(({ count }) => count),
        [3, 1, 1],
      )
    },
  },
  {
    name: 'a letter put twice for one group and message is one letter, the later one',
    needs: (c) => c.deadLetters,
    async run(ctx) {
      const { deadLetters } = await ctx.broker()
      const one = message()
      for (const attempts of [1, 2]) {
        const failure = {
          reason: 'failed',
          error: { name: 'E', message: 'x' },
          handler: 'h',
          attempts,
          firstFailedAt: 1,
          lastFailedAt: 2,
        } as const
        await deadLetters.put({
          group: ctx.group,
          topic: ctx.topic,
          position: '1',
          message: one,
          failure,
          redeliveries: 0,
        })
      }
      const letters = await deadLetters.list({ group: ctx.group })
      assert.deepEqual(
        letters.map(({ failure }) => failure.attempts),
        [2],
      )
    },
  },
  {
    name: 'dead letters of a forgotten group stay, and what was to be redelivered to it is gone',
    needs: (c) => c.deadLetters && c.groups && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const before = await ctx.collect(broker, {}, (delivery) =>
        numberOf(delivery) === 0 ? deadLetter(delivery) : redeliver(delivery, 500),
      )
      await broker.publish(numbered(ctx.topic, 2, 1))
      await before.received(2)
      await ctx.eventually(async () => (await broker.deadLetters.count({ group: ctx.group })) === 1, 'the dead letter')
      await before.stop()
      await broker.deleteGroup(ctx.group)
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 1)
      const after = await ctx.collect(broker)
      await after.fence(ctx.topic, ['k0'])
      await sleep(600)
      assert.equal(after.deliveries.length, 0, 'a redelivery to the forgotten group came')
    },
  },
  {
    name: 'a message whose dead letter cannot be stored is not acked: it stays unsettled until it is stored',
    needs: (c) => c.deadLetters,
    fault: 'failDeadLetters',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, {}, deadLetter)
      const end = await ctx.cause('failDeadLetters')
      await broker.publish(numbered(ctx.topic, 1, 1))
      await seen.received(1)
      await ctx.grace()
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 0)
      const lag = (await broker.metrics()).groups.find(({ group }) => group === ctx.group)?.lag
      assert.equal(lag, 1, 'the message counts as settled though its dead letter is not stored')
      await end()
      await ctx.eventually(
        async () => (await broker.deadLetters.count({ group: ctx.group })) === 1,
        'the dead letter in the end',
      )
    },
  },
  {
    name: 'a broker without dead letters refuses to list them',
    needs: (c) => !c.deadLetters,
    async run(ctx) {
      const broker = await ctx.broker()
      await rejects(() => broker.deadLetters.list(), 'UnsupportedError', 'a list of dead letters')
    },
  },
]
