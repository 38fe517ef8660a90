import assert from 'node:assert/strict'
import { assertEachOnce } from '../../suite/messages.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertOrdered, assertStreamsWhole, event, idsOf, to, upTo } from '../events.ts'
import { Follower } from '../follower.ts'

/**
 * Who has passed an event over never meets one before it, also where writers commit in another order than they began in. On
 * some databases an open transaction holds back the readers of every store, which wait for it for a while and not for ever:
 * therefore `alone`.
 */
export const orderChecks: readonly StorageCheck[] = [
  {
    name: 'what is behind an append that is not committed yet is not shown before it, and after its commit both are, in order',
    fault: 'holdAppend',
    alone: true,
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'before-1', 2)
      const follower = await followed(ctx, storage)
      const heldEvents = [event(), event()]
      const held = await ctx.hold([to('held-1', heldEvents)])
      const later = [event(), event()]
      await append(storage, 'later-1', later.slice(0, 1))
      await append(storage, 'later-2', later.slice(1))
      await ctx.grace()
      const shown = idsOf(await all(storage.readAll()))
      const seen = follower.ids
      await held.commit()
      await follower.until([...heldEvents, ...later])
      const order = idsOf(await all(storage.readAll()))
      assert.deepEqual(follower.ids, order, 'the follower saw another order than the store has')
      // Storages may put the held append behind the later ones, if they never show it before them: then all could be shown at once.
      assert.deepEqual(order.slice(0, shown.length), shown, 'something appeared before what had been shown')
      assert.deepEqual(order.slice(0, seen.length), seen)
    },
  },
  {
    name: 'what was behind an append that is rolled back is shown then, and its listeners are woken',
    fault: 'holdAppend',
    alone: true,
    async run(ctx) {
      const storage = await ctx.storage()
      const follower = await followed(ctx, storage)
      const held = await ctx.hold([to('held-1', 3)])
      const later = [event(), event()]
      await append(storage, 'later-1', later)
      await ctx.grace()
      await held.rollback()
      await follower.until(later)
      assert.deepEqual(idsOf(await all(storage.readAll())), idsOf(later))
      assert.equal((await storage.info('held-1')).revision, -1)
    },
  },
  {
    name: 'two appends held open and committed the other way round: a reader by pages misses neither',
    fault: 'holdAppend',
    alone: true,
    async run(ctx) {
      const storage = await ctx.storage()
      const follower = await followed(ctx, storage)
      const given = upTo(4).map(() => [event(), event()])
      const [a, b, c, d] = given
      assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined)
      const first = await ctx.hold([to('held-1', a)])
      await append(storage, 'open-1', b)
      const second = await ctx.hold([to('held-2', c)])
      await append(storage, 'open-2', d)
      await second.commit()
      await ctx.grace()
      const shown = follower.ids.length
      await first.commit()
      await follower.until(given.flat())
      assertOrdered(follower.seen)
      assertStreamsWhole(follower.seen)
      assert.deepEqual(follower.ids, idsOf(await all(storage.readAll())))
      assert.ok(shown <= 8)
    },
  },
  {
    name: 'the stream itself, its info and its revision checks see a committed append at once, whatever is held open elsewhere',
    fault: 'holdAppend',
    alone: true,
    async run(ctx) {
      const storage = await ctx.storage()
      await ctx.hold([to('held-1', 1)])
      const { revision } = await append(storage, 'later-1', 2, 'none')
      assert.equal((await storage.info('later-1')).revision, revision)
      assert.equal((await all(storage.readStream('later-1'))).length, 2)
      assert.equal((await append(storage, 'later-1', 1, revision)).revision, revision + 1)
    },
  },
  {
    name: 'a follower sees each event of four writing processes once, in the order in which the store has them',
    needs: (c) => c.multiProcess,
    heavy: true,
    async run(ctx) {
      const storage = await ctx.storage()
      const follower = await followed(ctx, storage)
      const children = await Promise.all(upTo(4).map(() => ctx.child()))
      await Promise.all(children.map((child, n) => child.appendOn([`own-${n}`, `shared-${n % 2}`], 2)))
      await Promise.all(children.map((child) => child.confirmedAtLeast(100)))
      await Promise.all(children.map((child) => child.kill()))
      const stored = await all(storage.readAll())
      await ctx.eventually(
        () => follower.seen.length >= stored.length || follower.failure !== undefined,
        () => `${stored.length} events, not ${follower.seen.length}`,
      )
      assertOrdered(follower.seen)
      assertStreamsWhole(follower.seen)
      assertEachOnce(follower.ids, idsOf(stored))
    },
  },
]

/** A follower from the beginning, with a wait for events. */
async function followed(
  ctx: Parameters<StorageCheck['run']>[0],
  storage: ConstructorParameters<typeof Follower>[0],
): Promise<Follower & { until(given: readonly ReturnType<typeof event>[]): Promise<void> }> {
  const follower = await new Follower(storage, undefined, 3).start()
  ctx.onEnd(() => follower.stop())
  return Object.assign(follower, {
    async until(given: readonly ReturnType<typeof event>[]): Promise<void> {
      const missing = (): string[] => idsOf(given).filter((id) => !follower.ids.includes(id))
      await ctx.eventually(
        () => missing().length === 0 || follower.failure !== undefined,
        () => `the follower to see ${given.length} events; ${missing().length} never came`,
      )
      if (follower.failure !== undefined) throw follower.failure
    },
  })
}
