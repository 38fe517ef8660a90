import assert from 'node:assert/strict'
import type { AppendError, ConcurrencyError, Expected, StreamDeletedError } from '../../../store/index.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertOrdered, event, events, everything, idsOf, revisionsOf, to, upTo } from '../events.ts'

/** What a stream must be when something is appended, and what a refusal says. */
export const expectedChecks: readonly StorageCheck[] = [
  {
    name: 'a stream begins at revision 0, and each event has the revision after the one before it',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = events(3)
      assert.equal((await append(storage, 'order-1', given.slice(0, 1))).revision, 0)
      assert.equal((await append(storage, 'order-1', given.slice(1))).revision, 2)
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), [0, 1, 2])
      assert.deepEqual(idsOf(stored), idsOf(given))
    },
  },
  {
    name: 'an append answers with the stream, the revision and the position of its last event',
    async run(ctx) {
      const storage = await ctx.storage()
      const first = await append(storage, 'order-1', 3)
      const second = await append(storage, 'order-1', 1)
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(first, { stream: 'order-1', revision: 2, position: stored[2]?.position, repeated: false })
      assert.deepEqual(second, { stream: 'order-1', revision: 3, position: stored[3]?.position, repeated: false })
      assertOrdered(stored)
    },
  },
  {
    name: "'none' takes a stream that never had an event",
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-2', 2)
      assert.equal((await append(storage, 'order-1', 1, 'none')).revision, 0)
    },
  },
  {
    name: "'none' refuses a stream that has an event, and the error tells stream, expected and actual revision",
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const error = (await refused(storage, 'none')) as ConcurrencyError
      assert.deepEqual([error.stream, error.expected, error.actual], ['order-1', 'none', 1])
    },
  },
  {
    name: "'exists' takes a stream that has an event",
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1)
      assert.equal((await append(storage, 'order-1', 1, 'exists')).revision, 1)
    },
  },
  {
    name: "'exists' refuses a stream that never had an event, and the error tells -1 as its revision",
    async run(ctx) {
      const storage = await ctx.storage()
      const error = (await refused(storage, 'exists')) as ConcurrencyError
      assert.deepEqual([error.stream, error.expected, error.actual], ['order-1', 'exists', -1])
    },
  },
  {
    name: 'a revision takes a stream whose last event has exactly this one',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1, 'none')
      assert.equal((await append(storage, 'order-1', 3, 0)).revision, 3)
      assert.equal((await append(storage, 'order-1', 1, 3)).revision, 4)
    },
  },
  {
    name: 'a revision refuses a stream that is behind it or ahead of it, and the error tells both revisions',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      for (const expected of [0, 1, 3, 4, 1_000_000]) {
        const error = (await refused(storage, expected)) as ConcurrencyError
        assert.deepEqual([error.stream, error.expected, error.actual], ['order-1', expected, 2])
        assert.match(error.message, new RegExp(`order-1.*${expected}.*2`))
      }
    },
  },
  {
    name: 'revision 0 refuses a stream that never had an event',
    async run(ctx) {
      const storage = await ctx.storage()
      const error = (await refused(storage, 0)) as ConcurrencyError
      assert.deepEqual([error.expected, error.actual], [0, -1])
    },
  },
  {
    name: "'any' takes a stream whether it has events or not",
    async run(ctx) {
      const storage = await ctx.storage()
      assert.equal((await append(storage, 'order-1', 1, 'any')).revision, 0)
      assert.equal((await append(storage, 'order-1', 1, 'any')).revision, 1)
    },
  },
  {
    name: 'a refused append has written nothing, and the stream goes on as if it had not been',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const before = await everything(storage, 'order-1')
      const wrong = events(3)
      await rejects(() => append(storage, 'order-1', wrong, 5), 'ConcurrencyError', 'an append at a wrong revision')
      assert.deepEqual(await everything(storage, 'order-1'), before)
      // Its events are not taken for known.
      assert.deepEqual(
        await append(storage, 'order-1', wrong, 1).then(({ revision, repeated }) => [revision, repeated]),
        [4, false],
      )
    },
  },
  {
    name: 'each form of expected refuses a deleted stream with StreamDeletedError',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      await storage.deleteStream('order-1')
      for (const expected of ['any', 'none', 'exists', 1, 0] as const) {
        const what = `an append with expected ${expected} to a deleted stream`
        const error = await rejects(() => append(storage, 'order-1', 1, expected), 'StreamDeletedError', what)
        assert.equal((error as StreamDeletedError).stream, 'order-1')
      }
      assert.deepEqual(await all(storage.readAll()), [])
    },
  },
  {
    name: 'what cannot be a revision is refused with AppendError, and nothing is written',
    async run(ctx) {
      const storage = await ctx.storage()
      for (const expected of [-1, 1.5, Number.NaN, Infinity, '3', 'some', null, 2n]) {
        const what = `expected ${String(expected)}`
        await rejects(() => append(storage, 'order-1', 1, expected as Expected), 'AppendError', what)
      }
      assert.deepEqual(await all(storage.readAll()), [])
    },
  },
  {
    name: 'an append of nothing, of a stream twice, or of an id twice is refused with AppendError, and nothing is written',
    async run(ctx) {
      const storage = await ctx.storage()
      const twice = event()
      const wrong = [
        [],
        [to('order-1', [])],
        [to('order-2', 1), to('order-1', [])],
        [to('order-1', 1), to('order-1', 1)],
        [to('order-1', [twice, twice])],
        [to('order-1', [twice]), to('order-2', [twice])],
      ]
      for (const appends of wrong) {
        const error = await rejects(() => storage.append(appends), 'AppendError', JSON.stringify(appends))
        assert.ok((error as AppendError).message.length > 20)
      }
      assert.deepEqual(await all(storage.readAll()), [])
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
    },
  },
  {
    name: 'a thousand events of one append follow each other in the order given',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = events(1_000)
      assert.equal((await append(storage, 'order-1', given)).revision, 999)
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), upTo(1_000))
      assert.deepEqual(idsOf(stored), idsOf(given))
      assertOrdered(stored)
    },
  },
  {
    name: 'storedAt tells when the store took the event',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', [event({ time: new Date('2001-02-03T04:05:06.007Z') })])
      const [stored] = await all(storage.readStream('order-1'))
      // A server's clock is another one.
      const off = Math.abs((stored?.storedAt ?? 0) - Date.now())
      assert.ok(off < 300_000, `storedAt is ${stored?.storedAt}, ${off} ms from now`)
    },
  },
]

/** Fails unless an append to order-1 is refused for its revision. */
function refused(storage: Parameters<typeof append>[0], expected: Expected): Promise<Error> {
  return rejects(
    () => append(storage, 'order-1', 1, expected),
    'ConcurrencyError',
    `an append that expects ${expected}`,
  )
}
