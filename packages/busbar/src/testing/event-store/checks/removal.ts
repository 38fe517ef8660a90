import assert from 'node:assert/strict'
import type { ConcurrencyError } from '../../../store/index.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, event, events, everything, idsOf, revisionsOf, to, upTo } from '../events.ts'

/** Streams that are deleted, and events that are forgotten. */
export const removalChecks: readonly StorageCheck[] = [
  {
    name: 'events of a deleted stream are gone for every reader, and those of others stay',
    async run(ctx) {
      const storage = await ctx.storage()
      const metadata = { correlationId: 'the-same' }
      await storage.append([
        to('order-1', [event({ metadata }), event({ metadata })]),
        to('order-2', [event({ metadata })]),
        to('stock-1', [event({ metadata })]),
      ])
      await storage.deleteStream('order-1')
      assert.deepEqual(await all(storage.readStream('order-1')), [])
      assert.deepEqual(await all(storage.readStream('order-1', { direction: 'backwards' })), [])
      const streams = async (reading: ReturnType<typeof storage.readAll>): Promise<string[]> =>
        (await all(reading)).map(({ stream }) => stream)
      const left = ['order-2', 'stock-1']
      assert.deepEqual(await streams(storage.readAll()), left)
      assert.deepEqual(await streams(storage.readAll({ types: ['ConformanceChecked'] })), left)
      assert.deepEqual(await streams(storage.readAll({ categories: ['order'] })), ['order-2'])
      assert.deepEqual(await streams(storage.readByCorrelation('the-same')), left)
      assert.equal((await storage.head()).count, 2)
    },
  },
  {
    name: 'a tombstone keeps the name, the last revision and the time, and deleting again changes none of them',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 4)
      const told = await storage.deleteStream('order-1')
      const info = await storage.info('order-1')
      assert.deepEqual(told, info)
      assert.deepEqual([info.stream, info.revision], ['order-1', 3])
      assert.ok(Math.abs((info.deletedAt ?? 0) - Date.now()) < 300_000, `deletedAt is ${info.deletedAt}`)
      assert.deepEqual(await storage.deleteStream('order-1'), info)
      assert.deepEqual(await storage.info('order-1'), info)
    },
  },
  {
    name: 'a stream is deleted only where it is as expected',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      const before = await everything(storage, 'order-1')
      for (const expected of [0, 1, 3, 'none'] as const) {
        const what = `a deletion that expects ${expected}`
        const error = await rejects(() => storage.deleteStream('order-1', { expected }), 'ConcurrencyError', what)
        const { stream, expected: said, actual } = error as ConcurrencyError
        assert.deepEqual([stream, said, actual], ['order-1', expected, 2])
      }
      assert.deepEqual(await everything(storage, 'order-1'), before)
      assert.equal((await storage.deleteStream('order-1', { expected: 2 })).revision, 2)
      assert.deepEqual(await all(storage.readAll()), [])
    },
  },
  {
    name: 'a stream that never was cannot be deleted, and may be begun afterwards',
    async run(ctx) {
      const storage = await ctx.storage()
      const error = await rejects(() => storage.deleteStream('order-1'), 'ConcurrencyError', 'a deletion of nothing')
      assert.deepEqual([(error as ConcurrencyError).expected, (error as ConcurrencyError).actual], ['exists', -1])
      assert.equal((await append(storage, 'order-1', 1, 'none')).revision, 0)
    },
  },
  {
    name: 'of appends and a deletion at once none is half: after the tombstone nothing more is taken',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1)
      const writes = upTo(20).map(() => append(storage, 'order-1', 2))
      const [outcomes, info] = await Promise.all([Promise.allSettled(writes), storage.deleteStream('order-1')])
      const taken = outcomes.filter(({ status }) => status === 'fulfilled').length
      assert.equal(info.revision, taken * 2)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.equal((outcome.reason as Error).name, 'StreamDeletedError')
      }
      assert.deepEqual(await storage.head().then(({ count }) => count), 0)
    },
  },
  {
    name: 'truncateBefore forgets the events before a revision and returns how many; revisions stay as they are',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-2', 2)
      const given = events(10)
      await append(storage, 'order-1', given)
      assert.equal(await storage.truncateBefore('order-1', 4), 4)
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), [4, 5, 6, 7, 8, 9])
      assert.deepEqual(idsOf(stored), idsOf(given.slice(4)))
      assert.deepEqual(await storage.info('order-1'), { stream: 'order-1', revision: 9, first: 4 })
      assert.deepEqual(idsOf(await all(storage.readAll())).slice(2), idsOf(given.slice(4)))
      assert.deepEqual(await all(storage.readByCorrelation(given[0]?.message.id ?? '')), [])
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1', { from: 0, to: 5 }))), [4, 5])
      const backwards = storage.readStream('order-1', { direction: 'backwards', limit: 2 })
      assert.deepEqual(revisionsOf(await all(backwards)), [9, 8])
      assert.equal((await append(storage, 'order-1', 1, 9)).revision, 10)
      assert.equal((await storage.head()).count, 9)
    },
  },
  {
    name: 'truncateBefore forgets nothing twice, nothing of others, and nothing of a stream that never was',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 5)
      await append(storage, 'order-11', 5)
      assert.equal(await storage.truncateBefore('order-1', 0), 0)
      assert.equal(await storage.truncateBefore('order-1', 3), 3)
      assert.equal(await storage.truncateBefore('order-1', 3), 0)
      assert.equal(await storage.truncateBefore('order-1', 2), 0)
      assert.equal(await storage.truncateBefore('order-9', 3), 0)
      assert.equal((await all(storage.readStream('order-11'))).length, 5)
      assert.equal((await storage.head()).count, 7)
    },
  },
  {
    name: 'a stream of which everything is forgotten goes on at its next revision',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      assert.equal(await storage.truncateBefore('order-1', 100), 3)
      assert.deepEqual(await all(storage.readStream('order-1')), [])
      assert.equal((await storage.info('order-1')).revision, 2)
      const refused = (): Promise<unknown> => append(storage, 'order-1', 1, 'none')
      await rejects(refused, 'ConcurrencyError', "an append with 'none' to a stream whose events are forgotten")
      assert.equal((await append(storage, 'order-1', 1, 2)).revision, 3)
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), [3])
      assert.equal((await storage.info('order-1')).first, 3)
    },
  },
  {
    name: 'positions of what was removed are not given again',
    async run(ctx) {
      const storage = await ctx.storage()
      const { position: before } = await append(storage, 'order-1', 3)
      await storage.deleteStream('order-1')
      assert.deepEqual(await all(storage.readAll({ after: before })), [])
      const { position } = await append(storage, 'order-2', 1)
      assert.ok(position > before, `${position} is not after ${before}`)
      assert.equal((await all(storage.readAll({ after: before }))).length, 1)
    },
  },
]
