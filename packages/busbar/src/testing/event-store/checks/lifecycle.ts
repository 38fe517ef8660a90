import assert from 'node:assert/strict'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, idsOf, to, upTo } from '../events.ts'

/** Start, stop, and what is called at a bad moment. */
export const lifecycleChecks: readonly StorageCheck[] = [
  {
    name: 'start may be called twice and at once, stop likewise, and stop without a start',
    async run(ctx) {
      const storage = await ctx.made()
      await Promise.all([storage.start(), storage.start()])
      await storage.start()
      await append(storage, 'order-1', 1)
      await ctx.within(Promise.all([storage.stop(), storage.stop()]), 'two stops at once')
      await ctx.within(storage.stop(), 'a third stop')
      const never = await ctx.made()
      await ctx.within(never.stop(), 'a stop without a start')
    },
  },
  {
    name: 'a stopped storage refuses every call with an error that says so, and does not hang',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1)
      const claim = await storage.checkpoints.claim('reader', 'me', 60_000)
      assert.ok(claim !== undefined)
      await storage.stop()
      const calls: Record<string, () => Promise<unknown>> = {
        start: () => storage.start(),
        append: () => append(storage, 'order-1', 1),
        readStream: async () => all(storage.readStream('order-1')),
        readAll: async () => all(storage.readAll()),
        readByCorrelation: async () => all(storage.readByCorrelation('x')),
        info: () => storage.info('order-1'),
        head: () => storage.head(),
        listen: () => storage.listen(() => undefined),
        deleteStream: () => storage.deleteStream('order-1'),
        truncateBefore: () => storage.truncateBefore('order-1', 1),
        ping: () => storage.ping(),
      }
      for (const [name, call] of Object.entries(calls)) {
        const error = await ctx.within(rejects(call, 'BusbarError', `${name} after stop`), `${name} after stop to end`)
        assert.match(error.message, /stop/i, `${name}: ${error.message}`)
      }
    },
  },
  {
    name: 'ping resolves while the store can be written to',
    async run(ctx) {
      const storage = await ctx.storage()
      await storage.ping()
      await append(storage, 'order-1', 1)
      await storage.ping()
    },
  },
  {
    name: 'an append that was confirmed before stop is kept, and one that was under way is whole or not there',
    needs: (c) => c.durable && c.multiProcess,
    async run(ctx) {
      const storage = await ctx.storage()
      const given = upTo(40).map((n) => to(`order-${n}`, 3, 'none'))
      await Promise.all(given.slice(0, 20).map((one) => storage.append([one])))
      const late = given.slice(20).map((one) => storage.append([one]))
      const [outcomes] = await Promise.all([Promise.allSettled(late), ctx.within(storage.stop(), 'the stop to end')])
      const other = await ctx.storage()
      for (const [n, { stream, events }] of given.entries()) {
        const kept = idsOf(await all(other.readStream(stream)))
        const confirmed = n < 20 || outcomes[n - 20]?.status === 'fulfilled'
        if (confirmed) assert.deepEqual(kept, idsOf(events), `${stream} was confirmed`)
        else assert.ok(kept.length === 0 || kept.length === 3, `of ${stream} ${kept.length} of 3 events are there`)
      }
    },
  },
  {
    name: 'a stop in the middle of a reading ends the reading, and does not hang',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1_000)
      const reading = (async () => {
        let count = 0
        for await (const _ of storage.readAll()) if (++count === 10) await storage.stop()
      })()
      await ctx.within(
        reading.catch((error: unknown) => assert.ok(error instanceof Error)),
        'the reading to end',
      )
    },
  },
  {
    name: 'a process whose storage has stopped ends by itself',
    async run(ctx) {
      const child = await ctx.child()
      await child.follow()
      await child.append(to('order-1', 20))
      await child.checkpoints('claim', 'reader', 'me', 60_000)
      await child.stop()
      await child.disconnect()
      await child.ended()
    },
  },
  {
    name: 'two hundred listeners and readings that come and go leak nothing',
    heavy: true,
    async run(ctx) {
      const child = await ctx.child({ exposeGc: true })
      await child.append(to('order-1', 300))
      await child.cycleListeners(40)
      const [heap, resources] = [await child.heap(), (await child.resources()).length]
      await child.cycleListeners(200)
      await ctx.eventually(
        async () => (await child.resources()).length <= resources,
        'timers and handles of ended listeners to be gone',
      )
      const grown = (await child.heap()) - heap
      assert.ok(grown < 3 * 2 ** 20, `the heap grew by ${grown} bytes over 200 cycles`)
    },
  },
  {
    name: 'goes on after the store could not be reached, and what was confirmed is there once',
    fault: 'interrupt',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = upTo(40).map((n) => to(`order-${n % 5}`, 2))
      const confirmed: string[] = []
      const write = async (one: (typeof given)[number]): Promise<void> => {
        await storage.append([one]).then(
          () => confirmed.push(...idsOf(one.events)),
          () => undefined,
        )
      }
      for (const one of given.slice(0, 10)) await write(one)
      const end = await ctx.cause('interrupt')
      const during = Promise.all(given.slice(10, 25).map(write))
      await ctx.grace()
      await end()
      await during
      await ctx.eventually(
        () =>
          storage.ping().then(
            () => true,
            () => false,
          ),
        'the store to be reached again',
      )
      for (const one of given.slice(25)) await write(one)
      assert.ok(confirmed.length >= 50, `${confirmed.length} of 80 events confirmed`)
      // Whoever got no answer appends the same again.
      for (const one of given) await storage.append([one])
      const stored = idsOf(await all(storage.readAll()))
      assert.equal(new Set(stored).size, stored.length, 'an event is there twice')
      assert.deepEqual(stored.toSorted(), idsOf(given.flatMap((one) => one.events)).toSorted())
    },
  },
]
