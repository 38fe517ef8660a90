import assert from 'node:assert/strict'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertStreamsWhole, event, idsOf, to } from '../events.ts'

/** What a new process finds, however the one before it ended. */
export const restartChecks: readonly StorageCheck[] = [
  {
    name: 'everything is there after a restart: events, order, positions, revisions and head',
    needs: (c) => c.durable,
    async run(ctx) {
      const first = await ctx.storage()
      await first.append([
        to('order-1', 3),
        to('order-2', [event({ body: Uint8Array.of(0, 255), contentType: 'x/y' })]),
      ])
      await append(first, 'order-1', 2)
      const [stored, head] = [await all(first.readAll()), await first.head()]
      await first.stop()
      const second = await ctx.storage()
      assert.deepEqual(await all(second.readAll()), stored)
      assert.deepEqual(await second.head(), head)
      const { revision, position } = await append(second, 'order-1', 1, 4)
      assert.equal(revision, 5)
      assert.ok(position > head.position, 'a position from before the restart was given again')
    },
  },
  {
    name: 'tombstones, truncation and known ids outlive a restart',
    needs: (c) => c.durable,
    async run(ctx) {
      const first = await ctx.storage()
      const given = to('order-1', 3, 'none')
      const [answer] = await first.append([given])
      await append(first, 'gone-1', 2)
      await append(first, 'short-1', 5)
      await first.truncateBefore('short-1', 3)
      const deleted = await first.deleteStream('gone-1')
      await first.stop()
      const second = await ctx.storage()
      assert.deepEqual(await second.append([given]), [{ ...answer, repeated: true }])
      assert.deepEqual(await second.info('gone-1'), deleted)
      await rejects(() => append(second, 'gone-1', 1), 'StreamDeletedError', 'an append to a stream deleted before')
      assert.deepEqual(await second.info('short-1'), { stream: 'short-1', revision: 4, first: 3 })
    },
  },
  {
    name: 'checkpoints and their claims outlive a restart',
    needs: (c) => c.durable,
    async run(ctx) {
      const first = await ctx.storage()
      const claim = await first.checkpoints.claim('reader', 'one', 60_000)
      assert.ok(claim !== undefined)
      await first.checkpoints.advance(claim, '0007')
      await first.stop()
      const second = await ctx.storage()
      assert.equal(await second.checkpoints.claim('reader', 'two', 60_000), undefined, 'the claim was forgotten')
      const again = await second.checkpoints.claim('reader', 'one', 60_000)
      assert.deepEqual([again?.position, again?.token], ['0007', claim.token])
      assert.equal((await second.checkpoints.get('reader'))?.position, '0007')
    },
  },
  {
    name: 'kill -9 while it appends to two streams: each append is whole or not there, and what was confirmed is there',
    needs: (c) => c.multiProcess && c.durable,
    async run(ctx) {
      const storage = await ctx.storage()
      for (let life = 0; life < 3; life++) {
        const streams = [`left-${life}`, `right-${life}`]
        const child = await ctx.child()
        await child.appendOn(streams, 5)
        await child.confirmedAtLeast(20 + life * 7)
        await child.kill()
        const [left, right] = await Promise.all(streams.map((stream) => all(storage.readStream(stream))))
        assert.ok(left !== undefined && right !== undefined)
        assert.equal(left.length, right.length, 'an append to two streams was torn apart')
        assert.equal(left.length % 5, 0, 'an append of five events was torn apart')
        assert.ok(
          left.length >= child.confirmed.length * 5,
          `${child.confirmed.length} appends confirmed, ${left.length / 5} there`,
        )
        assert.ok(left.length <= child.tried.length * 5, 'more is there than was appended')
        const tried = child.tried.flat().filter(({ stream }) => stream === streams[0])
        assert.deepEqual(idsOf(left), idsOf(tried.flatMap((one) => one.events)).slice(0, left.length))
        // Whoever comes after it makes sure of the last one by appending it again.
        const last = child.tried.at(-1) ?? []
        await storage.append(last)
        const all5 = await all(storage.readStream(`left-${life}`))
        assert.equal(all5.length, child.tried.length * 5)
      }
      assertStreamsWhole(await all(storage.readAll()))
    },
  },
  {
    name: 'when all writing processes are killed at once nothing confirmed is lost, and others go on at once',
    needs: (c) => c.multiProcess && c.durable,
    heavy: true,
    async run(ctx) {
      const children = await Promise.all([ctx.child(), ctx.child(), ctx.child()])
      await Promise.all(children.map((child, n) => child.appendOn([`own-${n}`, 'shared-1'], 2)))
      await Promise.all(children.map((child) => child.confirmedAtLeast(30)))
      await Promise.all(children.map((child) => child.kill()))
      const storage = await ctx.storage()
      const stored = await all(storage.readAll())
      assertStreamsWhole(stored)
      const known = new Set(idsOf(stored))
      const confirmed = children.flatMap((child) => child.confirmed.flat()).flatMap((one) => one.events)
      assert.ok(confirmed.length >= 360)
      assert.equal(idsOf(confirmed).filter((id) => !known.has(id)).length, 0, 'confirmed events are lost')
      const { revision } = await storage.info('shared-1')
      assert.equal((await append(storage, 'shared-1', 1, revision)).revision, revision + 1)
    },
  },
]
