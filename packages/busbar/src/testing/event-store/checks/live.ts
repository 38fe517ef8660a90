import assert from 'node:assert/strict'
import { assertEachOnce } from '../../suite/messages.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertOrdered, assertStreamsWhole, idsOf, to, upTo } from '../events.ts'
import { Follower } from '../follower.ts'

/** Told that something came, and from then on live. */
export const liveChecks: readonly StorageCheck[] = [
  {
    name: 'who listens is woken after an append, each of several listeners',
    async run(ctx) {
      const storage = await ctx.storage()
      const wakes = [0, 0, 0]
      const ends = await Promise.all(wakes.map((_, n) => storage.listen(() => void (wakes[n] = (wakes[n] ?? 0) + 1))))
      for (let round = 1; round <= 3; round++) {
        wakes.fill(0)
        await append(storage, 'order-1', 1)
        await ctx.eventually(
          () => wakes.every((count) => count > 0),
          () => `three listeners to be woken in round ${round}, not ${wakes.join(', ')} times`,
        )
      }
      for (const end of ends) await end()
    },
  },
  {
    name: 'a wake comes when the event can be read, not before it',
    async run(ctx) {
      const storage = await ctx.storage()
      for (let n = 1; n <= 10; n++) {
        const woken = Promise.withResolvers<number>()
        const end = await storage.listen(() => {
          void storage.head().then(({ count }) => {
            if (count >= n) woken.resolve(count)
          }, woken.reject)
        })
        await append(storage, 'order-1', 1)
        assert.equal(await ctx.within(woken.promise, `a wake after which event ${n} can be read`), n)
        await end()
      }
    },
  },
  {
    name: 'who has ended listening is woken no more, and may end it twice',
    async run(ctx) {
      const storage = await ctx.storage()
      let [ended, other] = [0, 0]
      const end = await storage.listen(() => void ended++)
      await storage.listen(() => void other++)
      await append(storage, 'order-1', 1)
      await ctx.eventually(() => ended > 0 && other > 0, 'both to be woken')
      await end()
      await end()
      ;[ended, other] = [0, 0]
      await append(storage, 'order-1', 1)
      await ctx.eventually(() => other > 0, 'the other to be woken')
      await ctx.grace()
      assert.equal(ended, 0)
    },
  },
  {
    name: 'the same function that listens twice is ended one at a time',
    async run(ctx) {
      const storage = await ctx.storage()
      let count = 0
      const wake = (): void => void count++
      const [first] = [await storage.listen(wake), await storage.listen(wake)]
      await first()
      await append(storage, 'order-1', 1)
      await ctx.eventually(() => count > 0, 'the listener that is left to be woken')
    },
  },
  {
    name: 'catching up and then live: each event once, in order, without a gap at the switch',
    async run(ctx) {
      const storage = await ctx.storage()
      const write = async (count: number): Promise<void> => {
        for (let n = 0; n < count; n++) {
          await append(storage, `order-${n % 3}`, 2)
        }
      }
      await write(100)
      const writing = write(100)
      const follower = await new Follower(storage, undefined, 7).start()
      ctx.onEnd(() => follower.stop())
      await Promise.all([writing, write(85)])
      // Now and then, so that each has to be told by itself.
      for (let n = 0; n < 15; n++) {
        await write(1)
        await new Promise((resolve) => setTimeout(resolve, n))
      }
      const ids = idsOf(await all(storage.readAll()))
      assert.equal(ids.length, 600)
      await ctx.eventually(
        () => follower.seen.length >= 600 || follower.failure !== undefined,
        () => `600 events to be followed, not ${follower.seen.length}`,
      )
      assert.deepEqual(follower.ids, ids)
      assertOrdered(follower.seen)
    },
  },
  {
    name: 'two storages of one process see each other: appends, wakes and revisions',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [one, other] = await Promise.all([ctx.storage(), ctx.storage()])
      const follower = await new Follower(other).start()
      ctx.onEnd(() => follower.stop())
      for (let n = 0; n < 10; n++) {
        const { revision } = await append(one, 'order-1', 1)
        assert.equal((await other.info('order-1')).revision, revision)
        await ctx.eventually(() => follower.seen.length > n, `the wake for event ${n} of the other storage`)
      }
      assert.deepEqual(follower.ids, idsOf(await all(one.readAll())))
    },
  },
  {
    name: 'a process that appends nothing itself sees soon what another appends, one after the other',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [one, other] = await Promise.all([ctx.child(), ctx.child()])
      await Promise.all([one.follow(), other.follow()])
      for (let n = 0; n < 10; n++) {
        // Each is the silent one for five rounds.
        const [writer, reader] = n < 5 ? [one, other] : [other, one]
        await writer.append(to('order-1', 1))
        await ctx.eventually(
          () => reader.followed.length > n,
          () => `process ${reader.pid} to see event ${n} of process ${writer.pid}`,
        )
      }
    },
  },
  {
    name: "two processes see each other's appends soon, in the same order",
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [storage, one, other] = await Promise.all([ctx.storage(), ctx.child(), ctx.child()])
      await Promise.all([one.follow(), other.follow()])
      await Promise.all([one.appendOn(['one-1'], 1), other.appendOn(['other-1'], 1)])
      await Promise.all([one.confirmedAtLeast(50), other.confirmedAtLeast(50)])
      for (const child of [one, other]) {
        await ctx.eventually(
          () =>
            ['one-1', 'other-1'].every(
              (stream) => child.followed.filter((each) => each.stream === stream).length >= 50,
            ),
          () => `process ${child.pid} to see 50 events of each process; it saw ${child.followed.length} in all`,
        )
      }
      // What they have seen by now, before the order is looked at: they go on appending.
      const seen = [one, other].map((child) => [...child.followed])
      const order = idsOf(await all(storage.readAll()))
      for (const followed of seen) {
        assert.deepEqual(
          followed.map(({ id }) => id),
          order.slice(0, followed.length),
        )
        assertStreamsWhole(followed)
      }
    },
  },
  {
    name: 'events that came while nobody listened wait for the next who reads',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [storage, child] = await Promise.all([ctx.storage(), ctx.child()])
      const first = await new Follower(storage).start()
      await append(storage, 'order-1', 3)
      await ctx.eventually(() => first.seen.length === 3, 'three events')
      await first.stop()
      await Promise.all(upTo(5).map(() => child.append(to('order-1', 2))))
      const second = await new Follower(storage).start()
      ctx.onEnd(() => second.stop())
      await ctx.eventually(() => second.seen.length === 13, '13 events')
      assertEachOnce(second.ids, idsOf(await all(storage.readAll())))
    },
  },
]
