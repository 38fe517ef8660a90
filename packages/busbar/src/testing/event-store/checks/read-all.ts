import assert from 'node:assert/strict'
import type { EventStorage, Position, StoredEvent } from '../../../store/index.ts'
import { assertEachOnce } from '../../suite/messages.ts'
import type { StorageCheck } from '../check.ts'
import { all, append, assertOrdered, assertStreamsWhole, event, idsOf, to, upTo } from '../events.ts'

/** The whole store in one order, and what is chosen of it. */
export const readAllChecks: readonly StorageCheck[] = [
  {
    name: 'the whole store is read in the order of the appends, with positions that rise',
    async run(ctx) {
      const storage = await ctx.storage()
      const given: string[] = []
      for (let n = 0; n < 60; n++) {
        const one = [event(), event()]
        await append(storage, `order-${n % 7}`, one)
        given.push(...idsOf(one))
      }
      const stored = await all(storage.readAll())
      assert.deepEqual(idsOf(stored), given)
      assertOrdered(stored)
      assertStreamsWhole(stored)
    },
  },
  {
    name: 'an event is the same, at the same position, however it is read',
    async run(ctx) {
      const storage = await ctx.storage()
      await storage.append([to('order-1', 3), to('order-2', 2)])
      const stored = await all(storage.readAll())
      for (const stream of ['order-1', 'order-2']) {
        const own = stored.filter((one) => one.stream === stream)
        assert.deepEqual(await all(storage.readStream(stream)), own)
        assert.deepEqual(await all(storage.readStream(stream, { direction: 'backwards' })), own.toReversed())
      }
      for (const one of stored) {
        assert.deepEqual(await all(storage.readByCorrelation(one.message.metadata.correlationId)), [one])
      }
    },
  },
  {
    name: 'the order is the same for every reader and every reading, through another process too',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [one, other, child] = await Promise.all([ctx.storage(), ctx.storage(), ctx.child()])
      await Promise.all(upTo(60).map((n) => append(n % 2 === 0 ? one : other, `order-${n % 7}`, 2)))
      const order = idsOf(await all(one.readAll()))
      assert.equal(order.length, 120)
      assert.deepEqual(idsOf(await all(other.readAll())), order)
      assert.deepEqual(idsOf(await child.read('readAll')), order)
      assert.deepEqual(idsOf(await all(one.readAll())), order)
    },
  },
  {
    name: 'after begins behind exactly this position',
    async run(ctx) {
      const storage = await ctx.storage()
      await storage.append([to('order-1', 4), to('order-2', 4)])
      const stored = await all(storage.readAll())
      for (const [index, { position }] of stored.entries()) {
        assert.deepEqual(idsOf(await all(storage.readAll({ after: position }))), idsOf(stored.slice(index + 1)))
      }
      assert.deepEqual(idsOf(await all(storage.readAll({ after: '' }))), idsOf(stored))
    },
  },
  {
    name: 'after the position that an append answered comes what is appended next',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      const { position } = await append(storage, 'order-2', 2)
      assert.deepEqual(await all(storage.readAll({ after: position })), [])
      const next = event()
      await append(storage, 'order-1', [next])
      assert.deepEqual(idsOf(await all(storage.readAll({ after: position }))), [next.message.id])
    },
  },
  {
    name: 'limit is the most events that are read, and pages by after and limit make up the whole',
    async run(ctx) {
      const storage = await ctx.storage()
      for (let n = 0; n < 30; n++) await append(storage, `order-${n % 4}`, 10)
      const stored = await all(storage.readAll())
      assert.equal(stored.length, 300)
      for (const limit of [1, 7, 100, 300, 1_000]) {
        assert.deepEqual(idsOf(await byPages(storage, limit)), idsOf(stored), `pages of ${limit}`)
      }
      assert.deepEqual(await all(storage.readAll({ limit: 0 })), [])
    },
  },
  {
    name: 'types choose events of these types only, and limit counts what is chosen',
    async run(ctx) {
      const storage = await ctx.storage()
      const types = ['OrderPlaced', 'OrderPaid', 'OrderPlaced2']
      for (let n = 0; n < 30; n++)
        await append(
          storage,
          `order-${n % 4}`,
          types.map((type) => event({ type })),
        )
      const stored = await all(storage.readAll())
      for (const chosen of [['OrderPlaced'], ['OrderPlaced2', 'OrderPaid'], types]) {
        const expected = idsOf(stored.filter(({ message }) => chosen.includes(message.type)))
        assert.deepEqual(idsOf(await all(storage.readAll({ types: chosen }))), expected)
        assert.deepEqual(idsOf(await all(storage.readAll({ types: chosen, limit: 7 }))), expected.slice(0, 7))
        assert.deepEqual(idsOf(await byPages(storage, 7, { types: chosen })), expected)
      }
      assert.deepEqual(await all(storage.readAll({ types: ['orderplaced', 'Order%', 'NeverSeen'] })), [])
    },
  },
  {
    name: "categories choose streams by what is before the first '-' of their name",
    async run(ctx) {
      const storage = await ctx.storage()
      const streams = ['order-1', 'order-item-1', 'orders-1', 'order', 'Order-1', 'or-der-1', 'stock-1']
      for (let n = 0; n < 3; n++) for (const stream of streams) await append(storage, stream, 1)
      const chosen = async (...categories: readonly string[]): Promise<readonly string[]> => {
        const stored = await all(storage.readAll({ categories }))
        assertOrdered(stored)
        assertStreamsWhole(stored)
        return [...new Set(stored.map(({ stream }) => stream))].toSorted()
      }
      assert.deepEqual(await chosen('order'), ['order', 'order-1', 'order-item-1'])
      assert.deepEqual(await chosen('orders', 'stock'), ['orders-1', 'stock-1'])
      assert.deepEqual(await chosen('Order'), ['Order-1'])
      assert.deepEqual(await chosen('ord', 'order-1', '%'), [])
      const first = await all(storage.readAll({ categories: ['order'], limit: 4 }))
      assert.deepEqual(
        first.map(({ stream }) => stream),
        ['order-1', 'order-item-1', 'order', 'order-1'],
      )
    },
  },
  {
    name: 'types and categories together choose what is both',
    async run(ctx) {
      const storage = await ctx.storage()
      for (let n = 0; n < 10; n++) {
        await storage.append([
          to('order-1', [event({ type: 'Placed' }), event({ type: 'Paid' })]),
          to('stock-1', [event({ type: 'Placed' })]),
        ])
      }
      const stored = await all(storage.readAll({ types: ['Placed'], categories: ['order'] }))
      assert.equal(stored.length, 10)
      assert.ok(stored.every(({ stream, message }) => stream === 'order-1' && message.type === 'Placed'))
      const pages = await byPages(storage, 3, { types: ['Placed', 'Paid'], categories: ['order', 'stock'] })
      assert.deepEqual(idsOf(pages), idsOf(await all(storage.readAll())))
    },
  },
  {
    name: 'a rare type is found wherever it stands, and its pages miss nothing',
    async run(ctx) {
      const storage = await ctx.storage()
      const rare: string[] = []
      for (let n = 0; n < 5; n++) {
        const batch = upTo(500).map((m) => event({ type: m === n * 100 ? 'Rare' : 'Common' }))
        await append(storage, `order-${n % 2}`, batch)
        rare.push(...idsOf(batch.filter(({ message }) => message.type === 'Rare')))
      }
      assert.deepEqual(idsOf(await all(storage.readAll({ types: ['Rare'] }))), rare)
      assert.deepEqual(idsOf(await byPages(storage, 1, { types: ['Rare'] })), rare)
    },
  },
  {
    name: 'events are read by correlation id, across streams, in the order of the whole store',
    async run(ctx) {
      const storage = await ctx.storage()
      const of = (correlationId: string): ReturnType<typeof event> => event({ metadata: { correlationId } })
      for (let n = 0; n < 12; n++) {
        await storage.append([to(`order-${n % 3}`, [of('a'), of('b')]), to('stock-1', [of('a'), of('A')])])
      }
      const stored = await all(storage.readAll())
      for (const [id, count] of [
        ['a', 24],
        ['b', 12],
        ['A', 12],
      ] as const) {
        const found = await all(storage.readByCorrelation(id))
        assert.equal(found.length, count)
        assert.deepEqual(idsOf(found), idsOf(stored.filter(({ message }) => message.metadata.correlationId === id)))
      }
      assert.deepEqual(await all(storage.readByCorrelation('%')), [])
    },
  },
  {
    name: "head tells the last position and how many events are kept; of an empty store '' and 0",
    async run(ctx) {
      const storage = await ctx.storage()
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
      assert.deepEqual(await all(storage.readAll()), [])
      await append(storage, 'order-1', 3)
      const { position } = await append(storage, 'order-2', 2)
      assert.deepEqual(await storage.head(), { position, count: 5 })
      assert.equal((await all(storage.readAll())).at(-1)?.position, position)
    },
  },
  {
    name: 'a page by page reading during concurrent appends misses nothing and doubles nothing',
    async run(ctx) {
      const storage = await ctx.storage()
      let writing = true
      const reading = (async () => {
        const seen: StoredEvent[] = []
        // What was appended before a reading began is in it: when nobody writes any more, one more reading ends it.
        for (let more = true; more;) {
          const last = !writing
          const page = await all(storage.readAll({ after: seen.at(-1)?.position ?? '', limit: 13 }))
          seen.push(...page)
          more = page.length > 0 || !last
          if (page.length === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        return seen
      })()
      const write = async (lane: number): Promise<string[]> => {
        const ids: string[] = []
        for (let n = 0; n < 60; n++) {
          const given = [to(`lane-${lane}`, 1 + (n % 3)), to('shared-1', 1)]
          await storage.append(given)
          ids.push(...idsOf(given.flatMap((one) => one.events)))
        }
        return ids
      }
      const writers = Promise.all(upTo(5).map(write)).finally(() => {
        writing = false
      })
      const [seen, written] = await Promise.all([reading, writers])
      assertOrdered(seen)
      assertStreamsWhole(seen)
      assertEachOnce(idsOf(seen), written.flat())
    },
  },
]

async function byPages(
  storage: EventStorage,
  limit: number,
  options: { readonly types?: readonly string[]; readonly categories?: readonly string[] } = {},
): Promise<StoredEvent[]> {
  const read: StoredEvent[] = []
  for (let after: Position = ''; ;) {
    const page = await all(storage.readAll({ ...options, after, limit }))
    assert.ok(page.length <= limit, `${page.length} events with limit ${limit}`)
    read.push(...page)
    if (page.length < limit) return read
    after = page.at(-1)?.position ?? after
  }
}
