import assert from 'node:assert/strict'
import type { EventStorage, ReadStreamOptions } from '../../../store/index.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertOrdered, events, idsOf, revisionsOf, upTo } from '../events.ts'

/** One stream, in both directions and by range. */
export const readStreamChecks: readonly StorageCheck[] = [
  {
    name: 'a stream is read forwards and backwards, and events of other streams are not among its own',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = events(5)
      for (const one of given) {
        await append(storage, 'order-1', [one])
        await append(storage, 'order-11', 1)
        await append(storage, 'order', 1)
      }
      assert.deepEqual(idsOf(await all(storage.readStream('order-1'))), idsOf(given))
      const backwards = await all(storage.readStream('order-1', { direction: 'backwards' }))
      assert.deepEqual(idsOf(backwards), idsOf(given).toReversed())
      assert.ok(backwards.every(({ stream }) => stream === 'order-1'))
    },
  },
  {
    name: 'from and to are the first and the last revision that is read forwards, both of them included',
    run: (ctx) =>
      ranges(ctx.storage(), [
        [{ from: 3 }, [3, 4, 5, 6, 7, 8, 9]],
        [{ to: 3 }, [0, 1, 2, 3]],
        [{ from: 3, to: 5 }, [3, 4, 5]],
        [{ from: 4, to: 4 }, [4]],
        [{ from: 0, to: 0 }, [0]],
        [{ from: 9 }, [9]],
        [{ from: 8, to: 100 }, [8, 9]],
        [{ from: 10 }, []],
        [{ from: 5, to: 3 }, []],
      ]),
  },
  {
    name: 'from and to are the first and the last revision that is read backwards, both of them included',
    run: (ctx) =>
      ranges(ctx.storage(), [
        [{ direction: 'backwards', from: 3 }, [3, 2, 1, 0]],
        [{ direction: 'backwards', to: 7 }, [9, 8, 7]],
        [{ direction: 'backwards', from: 5, to: 3 }, [5, 4, 3]],
        [{ direction: 'backwards', from: 4, to: 4 }, [4]],
        [{ direction: 'backwards', from: 0 }, [0]],
        [{ direction: 'backwards', from: 100, to: 8 }, [9, 8]],
        [{ direction: 'backwards', to: 10 }, []],
        [{ direction: 'backwards', from: 3, to: 5 }, []],
      ]),
  },
  {
    name: 'limit is the most events that are read, in both directions and within a range',
    run: (ctx) =>
      ranges(ctx.storage(), [
        [{ limit: 3 }, [0, 1, 2]],
        [{ limit: 100 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
        [{ limit: 0 }, []],
        [{ from: 4, limit: 2 }, [4, 5]],
        [{ from: 4, to: 5, limit: 5 }, [4, 5]],
        [{ direction: 'backwards', limit: 1 }, [9]],
        [{ direction: 'backwards', from: 4, limit: 2 }, [4, 3]],
        [{ direction: 'backwards', from: 4, to: 1, limit: 3 }, [4, 3, 2]],
      ]),
  },
  {
    name: 'a stream that was never there has no events, and its info says revision -1',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1)
      assert.deepEqual(await all(storage.readStream('order-2')), [])
      assert.deepEqual(await all(storage.readStream('order-2', { direction: 'backwards', from: 3 })), [])
      assert.deepEqual(await storage.info('order-2'), { stream: 'order-2', revision: -1, first: 0 })
      assert.deepEqual(await storage.info('order-1'), { stream: 'order-1', revision: 0, first: 0 })
    },
  },
  {
    name: 'a stream of 2500 events is read whole in both directions, and page by page',
    async run(ctx) {
      const storage = await ctx.storage()
      for (let n = 0; n < 2_500; n += 500) await append(storage, 'order-1', events(500, n))
      const forwards = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(forwards), upTo(2_500))
      assertOrdered(forwards)
      const backwards = await all(storage.readStream('order-1', { direction: 'backwards' }))
      assert.deepEqual(revisionsOf(backwards), upTo(2_500).toReversed())
      const paged: number[] = []
      for (let from = 0; from < 2_500; from += 99)
        paged.push(...revisionsOf(await all(storage.readStream('order-1', { from, limit: 99 }))))
      assert.deepEqual(paged, upTo(2_500))
    },
  },
  {
    name: 'a reader that stops in the middle leaves nothing behind, and readers do not disturb each other',
    async run(ctx) {
      const storage = await ctx.storage()
      for (let n = 0; n < 1_500; n += 500) await append(storage, 'order-1', events(500, n))
      for (let n = 0; n < 100; n++) {
        for await (const { revision } of storage.readStream('order-1')) if (revision >= n % 3) break
        for await (const _ of storage.readAll()) break
      }
      const readers = await ctx.within(
        Promise.all(upTo(20).map(() => all(storage.readStream('order-1')))),
        'twenty readers at once, after two hundred that stopped early',
      )
      for (const read of readers) assert.deepEqual(revisionsOf(read), upTo(1_500))
    },
  },
  {
    name: 'while a stream is read it can be appended to, by the reader, too',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 600)
      const seen: number[] = []
      for await (const { revision } of storage.readStream('order-1', { to: 599 })) {
        if (revision % 100 === 0) await append(storage, 'order-1', 1)
        seen.push(revision)
      }
      assert.deepEqual(seen, upTo(600))
      assert.equal((await storage.info('order-1')).revision, 605)
    },
  },
]

/** Reads a stream of ten events with each of the options. */
async function ranges(
  starting: Promise<EventStorage>,
  expectations: readonly (readonly [ReadStreamOptions, readonly number[]])[],
): Promise<void> {
  const storage = await starting
  await append(storage, 'order-1', 4)
  await append(storage, 'order-2', 4)
  await append(storage, 'order-1', 6)
  for (const [options, expected] of expectations) {
    assert.deepEqual(revisionsOf(await all(storage.readStream('order-1', options))), expected, JSON.stringify(options))
  }
}
