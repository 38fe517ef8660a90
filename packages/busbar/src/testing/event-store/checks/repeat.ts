import assert from 'node:assert/strict'
import type { DuplicateEventError } from '../../../store/index.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, event, events, everything, idsOf, to } from '../events.ts'

/** The same again: after an answer was lost, nobody knows whether an append was made. */
export const repeatChecks: readonly StorageCheck[] = [
  {
    name: 'an append that is made again answers as the first did, with repeated, and writes nothing',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-2', 1)
      const given = to('order-1', 3, 'none')
      const [first] = await storage.append([given])
      const before = await everything(storage, 'order-1')
      for (let n = 0; n < 3; n++) {
        const [again] = await storage.append([given])
        assert.deepEqual(again, { ...first, repeated: true })
      }
      assert.deepEqual(await everything(storage, 'order-1'), before)
    },
  },
  {
    name: 'a repetition is one whatever expected says now',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const given = events(2)
      const first = await append(storage, 'order-1', given, 1)
      for (const expected of [1, 0, 77, 'none', 'exists', 'any'] as const) {
        assert.deepEqual(await append(storage, 'order-1', given, expected), { ...first, repeated: true })
      }
      assert.equal((await storage.info('order-1')).revision, 3)
    },
  },
  {
    name: 'a repetition is known behind later events of its stream',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const given = events(2)
      const first = await append(storage, 'order-1', given, 1)
      await append(storage, 'order-1', 5)
      assert.deepEqual(await append(storage, 'order-1', given, 1), { ...first, repeated: true })
      assert.equal((await storage.info('order-1')).revision, 8)
    },
  },
  {
    name: 'a part of an append, one after the other, is a repetition and answers with its own last revision',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = events(4)
      await append(storage, 'order-1', given)
      const stored = await all(storage.readStream('order-1'))
      const again = await append(storage, 'order-1', given.slice(1, 3))
      assert.deepEqual(again, { stream: 'order-1', revision: 2, position: stored[2]?.position, repeated: true })
    },
  },
  {
    name: 'known and new ids in one append are refused with DuplicateEventError that names the stream and the known id',
    async run(ctx) {
      const storage = await ctx.storage()
      const known = events(2)
      await append(storage, 'order-1', known)
      const before = await everything(storage, 'order-1')
      for (const given of [
        [...known, event()],
        [event(), ...known],
        [event(), ...known.slice(1)],
      ]) {
        const what = 'an append of known and new events'
        const error = await rejects(() => append(storage, 'order-1', given), 'DuplicateEventError', what)
        assert.equal((error as DuplicateEventError).stream, 'order-1')
        assert.ok(idsOf(known).includes((error as DuplicateEventError).id))
      }
      assert.deepEqual(await everything(storage, 'order-1'), before)
    },
  },
  {
    name: 'an id that another stream has is refused with DuplicateEventError, and nothing is written',
    async run(ctx) {
      const storage = await ctx.storage()
      const known = event()
      await append(storage, 'order-1', [known])
      const before = await everything(storage, 'order-1', 'order-2')
      const what = 'an append of an event of another stream'
      const error = await rejects(() => append(storage, 'order-2', [known], 'none'), 'DuplicateEventError', what)
      assert.deepEqual(
        [(error as DuplicateEventError).stream, (error as DuplicateEventError).id],
        ['order-2', known.message.id],
      )
      await rejects(() => append(storage, 'order-2', [event(), known]), 'DuplicateEventError', what)
      assert.deepEqual(await everything(storage, 'order-1', 'order-2'), before)
    },
  },
  {
    name: 'known events in another order, or with a gap, are no repetition: DuplicateEventError',
    async run(ctx) {
      const storage = await ctx.storage()
      const known = events(3)
      await append(storage, 'order-1', known)
      const [a, b, c] = known
      assert.ok(a !== undefined && b !== undefined && c !== undefined)
      await rejects(() => append(storage, 'order-1', [b, a]), 'DuplicateEventError', 'known events the other way round')
      await rejects(() => append(storage, 'order-1', [a, c]), 'DuplicateEventError', 'known events with a gap')
      assert.equal((await storage.head()).count, 3)
    },
  },
  {
    name: 'several streams that are appended again answer each as before',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = [to('order-1', 2, 'none'), to('stock-1', 1, 'none'), to('order-2', 3, 'none')]
      const first = await storage.append(given)
      const again = await storage.append(given)
      assert.deepEqual(
        again,
        first.map((one) => ({ ...one, repeated: true })),
      )
      assert.equal((await storage.head()).count, 6)
    },
  },
  {
    name: 'the same append twenty times at once is written once, and all are answered alike',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = to('order-1', 3, 'none')
      const answers = await Promise.all(Array.from({ length: 20 }, () => storage.append([given])))
      for (const [one] of answers) assert.equal(one?.revision, 2)
      assert.equal(answers.filter(([one]) => one?.repeated === false).length, 1, 'more than one of them wrote')
      assert.deepEqual(idsOf(await all(storage.readAll())), idsOf(given.events))
    },
  },
  {
    name: 'a repetition through another process is known',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [storage, child] = await Promise.all([ctx.storage(), ctx.child()])
      const given = to('order-1', 3, 'none')
      const [first] = await child.append(given)
      assert.deepEqual(await storage.append([given]), [{ ...first, repeated: true }])
      assert.equal((await storage.head()).count, 3)
    },
  },
]
