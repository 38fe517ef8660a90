import assert from 'node:assert/strict'
import type { StorageCheck } from '../check.ts'
import { to, upTo } from '../events.ts'

/** Much of it: nothing is held in memory that need not be. */
export const longChecks: readonly StorageCheck[] = [
  {
    name: 'a long stream is read page by page and at once, whole, in order and with flat memory',
    heavy: true,
    async run(ctx) {
      const { events } = ctx.options
      const child = await ctx.child({ exposeGc: true })
      await child.fill('long-1', events, 500)
      assert.equal((await child.storage('info', 'long-1')).revision, events - 1)
      for (const page of [undefined, 1_000]) {
        const drained = await child.drain({ stream: 'long-1', ...(page === undefined ? {} : { page }) })
        assert.equal(drained.wrong, undefined)
        assert.equal(drained.count, events)
        assert.ok(drained.grown < FLAT, `the heap grew by ${drained.grown} bytes over ${events} events`)
      }
      const tail = await child.read('readStream', 'long-1', { direction: 'backwards', limit: 5 })
      assert.deepEqual(
        tail.map(({ revision }) => revision),
        upTo(5).map((n) => events - 1 - n),
      )
      const middle = await child.read('readStream', 'long-1', { from: Math.floor(events / 2), limit: 1 })
      assert.equal(middle[0]?.revision, Math.floor(events / 2))
      const [next] = await child.append(to('long-1', 1, events - 1))
      assert.equal(next?.revision, events)
    },
  },
  {
    name: 'memory stays flat while the whole store is read',
    heavy: true,
    async run(ctx) {
      const events = Math.ceil(ctx.options.events / 4)
      const child = await ctx.child({ exposeGc: true })
      for (const stream of ['order-1', 'stock-1', 'order-2']) await child.fill(stream, Math.ceil(events / 3), 2_000)
      const { count } = await child.storage('head')
      for (const page of [undefined, 500]) {
        const drained = await child.drain(page === undefined ? {} : { page })
        assert.equal(drained.wrong, undefined)
        assert.equal(drained.count, count)
        assert.ok(drained.grown < FLAT, `the heap grew by ${drained.grown} bytes over ${count} events`)
      }
    },
  },
]

/** Bytes; a storage that holds what it has read is far beyond it. */
const FLAT = 16 * 2 ** 20
