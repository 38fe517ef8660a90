import assert from 'node:assert/strict'
import type { StoredEvent } from '../../../store/index.ts'
import type { Transaction } from '../../../transaction/index.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import type { StorageContext } from '../context.ts'
import { all, append, event, everything, idsOf, revisionsOf, to } from '../events.ts'
import { Follower } from '../follower.ts'

/** Events and a program's own rows in one commit. */
export const transactionChecks: readonly StorageCheck[] = [
  {
    name: 'a storage without transactions refuses tx and inline with UnsupportedError, and writes nothing',
    needs: (c) => !c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const tx: Transaction = { dialect: 'sqlite', execute: () => Promise.resolve([]) }
      const inline = (): Promise<void> => Promise.resolve()
      await rejects(() => storage.append([to('order-1', 1)], { tx }), 'UnsupportedError', 'an append with tx')
      await rejects(() => storage.append([to('order-1', 1)], { inline }), 'UnsupportedError', 'an append with inline')
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
    },
  },
  {
    name: 'what is appended in a transaction of the user is there when it is committed, with the rows of the user',
    needs: (c) => c.transactions,
    async run(ctx) {
      const [storage, table] = [await ctx.storage(), await ctx.table()]
      await append(storage, 'order-1', 2)
      const own = await ctx.begin()
      await own.tx.execute(`INSERT INTO ${table} (value) VALUES (?)`, ['mine'])
      const given = to('order-1', 2, 1)
      const [appended] = await storage.append([given, to('order-2', 1, 'none')], { tx: own.tx })
      assert.deepEqual([appended?.revision, appended?.repeated], [3, false])
      await own.commit()
      assert.deepEqual(await rows(ctx, table), ['mine'])
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), [0, 1, 2, 3])
      assert.deepEqual(idsOf(stored.slice(2)), idsOf(given.events))
      assert.equal((await all(storage.readAll())).length, 5)
    },
  },
  {
    name: 'what is appended in a transaction that is rolled back was never there',
    needs: (c) => c.transactions,
    async run(ctx) {
      const [storage, table] = [await ctx.storage(), await ctx.table()]
      await append(storage, 'order-1', 2)
      const before = await everything(storage, 'order-1', 'order-2')
      const own = await ctx.begin()
      await own.tx.execute(`INSERT INTO ${table} (value) VALUES (?)`, ['mine'])
      const given = [to('order-1', 2, 1), to('order-2', 1, 'none')]
      await storage.append(given, { tx: own.tx })
      await own.rollback()
      assert.deepEqual(await everything(storage, 'order-1', 'order-2'), before)
      assert.deepEqual(await rows(ctx, table), [])
      // Nor are its events known.
      const answers = await storage.append(given)
      assert.ok(answers.every(({ repeated }) => !repeated))
    },
  },
  {
    name: 'what is appended in a transaction is not seen by others before the commit, and who follows is woken after it',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const follower = await new Follower(storage).start()
      ctx.onEnd(() => follower.stop())
      const own = await ctx.begin()
      const given = to('order-1', 2, 'none')
      await storage.append([given], { tx: own.tx })
      await ctx.grace()
      assert.deepEqual(follower.ids, [])
      assert.deepEqual(await all(storage.readStream('order-1')), [])
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
      await own.commit()
      await ctx.eventually(() => follower.seen.length === 2, 'the follower to see what was committed')
      assert.deepEqual(follower.ids, idsOf(given.events))
    },
  },
  {
    name: 'several appends in one transaction see each other: revisions, known ids, tombstones of before',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'gone-1', 1)
      await storage.deleteStream('gone-1')
      const own = await ctx.begin()
      const { tx } = own
      const first = to('order-1', 2, 'none')
      await storage.append([first], { tx })
      const [second] = await storage.append([to('order-1', 1, 1)], { tx })
      assert.equal(second?.revision, 2)
      const [again] = await storage.append([first], { tx })
      assert.deepEqual([again?.revision, again?.repeated], [1, true])
      await own.commit()
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), [0, 1, 2])
    },
  },
  {
    name: 'an append that is refused in a transaction of the user is refused as without one, and has written nothing',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const before = await everything(storage, 'order-1', 'order-2')
      const own = await ctx.begin()
      const wrong = (): Promise<unknown> =>
        storage.append([to('order-2', 2, 'none'), to('order-1', 1, 0)], { tx: own.tx })
      await rejects(wrong, 'ConcurrencyError', 'an append at a wrong revision inside a transaction')
      await own.rollback()
      assert.deepEqual(await everything(storage, 'order-1', 'order-2'), before)
    },
  },
  {
    name: 'an append inside a transaction that is over is refused, and nothing is written',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const own = await ctx.begin()
      await own.commit()
      await assert.rejects(storage.append([to('order-1', 1)], { tx: own.tx }), 'an append inside a closed transaction')
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
    },
  },
  {
    name: 'inline runs once, is given what is stored, and what it writes is there with the events',
    needs: (c) => c.transactions,
    async run(ctx) {
      const [storage, table] = [await ctx.storage(), await ctx.table()]
      const given = [to('order-1', 2, 'none'), to('order-2', 1)]
      const seen: StoredEvent[][] = []
      const answers = await storage.append(given, {
        inline: async (tx, stored) => {
          seen.push([...stored])
          for (const { message } of stored) await tx.execute(`INSERT INTO ${table} (value) VALUES (?)`, [message.id])
        },
      })
      assert.equal(seen.length, 1, `inline ran ${seen.length} times`)
      const ids = idsOf(given.flatMap((one) => one.events))
      assert.deepEqual(idsOf(seen[0] ?? []).toSorted(), ids.toSorted())
      assert.deepEqual((await rows(ctx, table)).toSorted(), ids.toSorted())
      const stored = await all(storage.readAll())
      const told = (seen[0] ?? []).map(({ stream, revision, message: { id } }) => ({ stream, revision, id }))
      assert.deepEqual(
        told,
        stored.map(({ stream, revision, message: { id } }) => ({ stream, revision, id })),
      )
      assert.deepEqual(
        answers.map(({ revision }) => revision),
        [1, 0],
      )
    },
  },
  {
    name: 'an inline that rejects leaves nothing behind, and append rejects with its error',
    needs: (c) => c.transactions,
    async run(ctx) {
      const [storage, table] = [await ctx.storage(), await ctx.table()]
      await append(storage, 'order-1', 1)
      const before = await everything(storage, 'order-1', 'order-2')
      const given = [to('order-1', 1, 0), to('order-2', 1, 'none')]
      const reason = new Error('the check says so')
      const failing = storage.append(given, {
        inline: async (tx) => {
          await tx.execute(`INSERT INTO ${table} (value) VALUES (?)`, ['half'])
          throw reason
        },
      })
      assert.equal(await failing.catch((error: unknown) => error), reason)
      assert.deepEqual(await everything(storage, 'order-1', 'order-2'), before)
      assert.deepEqual(await rows(ctx, table), [])
      assert.ok((await storage.append(given)).every(({ repeated }) => !repeated))
    },
  },
  {
    name: 'inline is not called for a repetition, nor for a refused append',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const given = to('order-1', 2, 'none')
      let calls = 0
      const inline = async (): Promise<void> => void calls++
      await storage.append([given], { inline })
      assert.equal(calls, 1)
      assert.equal((await storage.append([given], { inline }))[0]?.repeated, true)
      await rejects(() => storage.append([to('order-1', 1, 7)], { inline }), 'ConcurrencyError', 'a wrong revision')
      assert.equal(calls, 1)
    },
  },
  {
    name: 'an append, a deletion and a truncation inside an inline without its transaction are refused with TransactionError',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 2)
      const calls: readonly (() => Promise<unknown>)[] = [
        () => storage.append([to('order-1', 1)]),
        () => storage.append([to('order-2', 1)], { inline: () => Promise.resolve() }),
        () => storage.deleteStream('order-1'),
        () => storage.truncateBefore('order-1', 1),
      ]
      for (const call of calls) {
        await storage.append([to('order-1', 1)], {
          async inline() {
            await ctx.within(rejects(call, 'TransactionError', 'a write that waits for itself'), 'its refusal')
          },
        })
      }
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), [0, 1, 2, 3, 4, 5])
      assert.equal((await storage.info('order-2')).revision, -1)
    },
  },
  {
    name: 'appends in one transaction that nobody awaits are one after the other, and what is refused takes nothing else back',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const own = await ctx.begin()
      const outcomes = await Promise.allSettled([
        storage.append([to('order-1', 2, 'none')], { tx: own.tx }),
        storage.append([to('order-1', 1, 'none')], { tx: own.tx }),
        storage.append([to('order-2', 1, 'none'), to('order-1', 1, 0)], { tx: own.tx }),
        storage.append([to('order-1', 1, 1)], { tx: own.tx }),
      ])
      await own.commit()
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      )
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), [0, 1, 2])
      assert.equal((await storage.info('order-2')).revision, -1)
    },
  },
  {
    name: 'tx and inline together are refused with UnsupportedError, and nothing is written',
    needs: (c) => c.transactions,
    async run(ctx) {
      const storage = await ctx.storage()
      const own = await ctx.begin()
      const both = (): Promise<unknown> =>
        storage.append([to('order-1', 1)], { tx: own.tx, inline: () => Promise.resolve() })
      await rejects(both, 'UnsupportedError', 'an append with tx and inline')
      await own.rollback()
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
    },
  },
  {
    name: 'appends with inline at once are each whole: as many rows as events',
    needs: (c) => c.transactions,
    async run(ctx) {
      const [storage, table] = [await ctx.storage(), await ctx.table()]
      await append(storage, 'order-1', 1)
      const writes = Array.from({ length: 20 }, (_, n) =>
        storage.append([to('order-1', [event()], n % 2 === 0 ? 0 : 'any')], {
          inline: async (tx, [stored]) => {
            await tx.execute(`INSERT INTO ${table} (value) VALUES (?)`, [stored?.message.id ?? ''])
          },
        }),
      )
      const outcomes = await Promise.allSettled(writes)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected')
          assert.equal((outcome.reason as Error).name, 'ConcurrencyError', String(outcome.reason))
      }
      const stored = await all(storage.readStream('order-1', { from: 1 }))
      assert.deepEqual((await rows(ctx, table)).toSorted(), idsOf(stored).toSorted())
      assert.ok(stored.length >= 10)
    },
  },
]

/** Everything in the user's table, as another transaction sees it. */
async function rows(ctx: StorageContext, table: string): Promise<string[]> {
  const own = await ctx.begin()
  try {
    return (await own.tx.execute(`SELECT value FROM ${table}`)).map(({ value }) => String(value))
  } finally {
    await own.rollback()
  }
}
