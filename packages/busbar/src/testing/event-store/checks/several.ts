import assert from 'node:assert/strict'
import type { ConcurrencyError } from '../../../store/index.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, event, everything, idsOf, to, upTo } from '../events.ts'

/** Several streams in one append: all of it or nothing. */
export const severalChecks: readonly StorageCheck[] = [
  {
    name: 'several streams in one append each go on at their own revision, and are answered in the order given',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      const given = [to('stock-1', 2, 'none'), to('order-1', 1, 2), to('account-1', 1, 'any')]
      const answers = await storage.append(given)
      assert.deepEqual(
        answers.map(({ stream, revision, repeated }) => [stream, revision, repeated]),
        [
          ['stock-1', 1, false],
          ['order-1', 3, false],
          ['account-1', 0, false],
        ],
      )
      assert.deepEqual(
        idsOf(await all(storage.readAll()))
          .slice(3)
          .toSorted(),
        idsOf(given.flatMap((one) => one.events)).toSorted(),
      )
    },
  },
  {
    name: 'where one of several streams is not as expected nothing of any is written, and the error names the first that is wrong',
    async run(ctx) {
      const storage = await ctx.storage()
      await storage.append([to('order-1', 2), to('stock-1', 1)])
      const before = await everything(storage, 'order-1', 'stock-1', 'new-1')
      const wrong = [
        { appends: [to('order-1', 1, 1), to('stock-1', 1, 5), to('new-1', 1, 'exists')], stream: 'stock-1' },
        { appends: [to('order-1', 1, 0), to('stock-1', 1, 5)], stream: 'order-1' },
        { appends: [to('new-1', 3, 'none'), to('order-1', 1, 'any'), to('stock-1', 1, 'none')], stream: 'stock-1' },
      ]
      for (const { appends, stream } of wrong) {
        const error = await rejects(() => storage.append(appends), 'ConcurrencyError', `an append with ${stream} wrong`)
        assert.equal((error as ConcurrencyError).stream, stream)
        assert.deepEqual(await everything(storage, 'order-1', 'stock-1', 'new-1'), before)
      }
    },
  },
  {
    name: 'where one of several streams is deleted, or one id is known, nothing of any is written',
    async run(ctx) {
      const storage = await ctx.storage()
      const known = event()
      await storage.append([to('order-1', [known]), to('gone-1', 1)])
      await storage.deleteStream('gone-1')
      const before = await everything(storage, 'order-1', 'gone-1', 'new-1')
      const deleted = (): Promise<unknown> => storage.append([to('new-1', 1), to('order-1', 1), to('gone-1', 1)])
      await rejects(deleted, 'StreamDeletedError', 'an append with a deleted stream')
      const taken = (): Promise<unknown> => storage.append([to('new-1', 1), to('new-2', [known])])
      await rejects(taken, 'DuplicateEventError', 'an append with a known id')
      assert.deepEqual(await everything(storage, 'order-1', 'gone-1', 'new-1'), before)
    },
  },
  {
    name: 'a hundred streams in one append are all there',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = upTo(100).map((n) => to(`order-${n}`, 2, 'none'))
      const answers = await storage.append(given)
      assert.equal(answers.length, 100)
      for (const { stream, events } of given)
        assert.deepEqual(idsOf(await all(storage.readStream(stream))), idsOf(events))
      assert.equal((await storage.head()).count, 200)
    },
  },
  {
    name: 'a reader sees all streams of an append or none of them',
    async run(ctx) {
      const storage = await ctx.storage()
      const writers = { done: false }
      const reading = (async () => {
        for (let rounds = 0; !writers.done || rounds === 0; rounds++) {
          const pairs = new Map<string, number>()
          for await (const { message } of storage.readAll())
            pairs.set(message.subject ?? '', (pairs.get(message.subject ?? '') ?? 0) + 1)
          for (const [pair, count] of pairs) assert.equal(count, 3, `of append ${pair} ${count} of 3 events were seen`)
        }
      })()
      const write = async (lane: number): Promise<void> => {
        for (let n = 0; n < 40; n++) {
          const one = (): ReturnType<typeof event> => event({ subject: `${lane}-${n}` })
          await storage.append([to(`left-${lane}`, [one()]), to('middle', [one()]), to(`right-${lane}`, [one()])])
        }
      }
      const writing = Promise.all(upTo(4).map(write)).finally(() => {
        writers.done = true
      })
      await Promise.all([reading, writing])
    },
  },
]
