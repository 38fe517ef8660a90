import assert from 'node:assert/strict'
import type { Broker, Outgoing } from '../../../broker/index.ts'
import { event, typed } from '../../../message/index.ts'
import type { Transaction } from '../../../transaction/transaction.ts'
import type { Check } from '../check.ts'
import { assertKeyOrder, assertSame, message, numbered, numberOf } from '../../suite/messages.ts'
import { rejects } from '../verdicts.ts'

/** There exactly if the transaction is committed. */
export const transactionChecks: readonly Check[] = [
  {
    name: 'what is published in a transaction comes once that is committed, as it was published, and not before',
    needs: (c) => c.transactions,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const { tx, commit } = await ctx.begin()
      const texts = message({ key: 'k', subject: 's', metadata: { correlationId: 'c', empty: '', other: 'ä 🚌' } })
      const bytes = message({
        key: 'k',
        body: Uint8Array.from({ length: 256 }, (_, n) => n),
        contentType: 'application/octet-stream',
        revision: 7,
      })
      await publishIn(broker, tx, ctx.batch(texts, bytes))
      await ctx.grace()
      assert.equal(seen.deliveries.length, 0, 'it came before the commit')
      await commit()
      await seen.receivedAll([texts.id, bytes.id])
      for (const [index, sent] of [texts, bytes].entries()) {
        assertSame(seen.deliveries[index]?.message ?? message(), sent)
      }
    },
  },
  {
    name: 'nothing is there of a transaction that is rolled back',
    needs: (c) => c.transactions,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const { tx, rollback } = await ctx.begin()
      await publishIn(broker, tx, numbered(ctx.topic, 20, 4))
      // A topic that nobody has used before leaves nothing behind either that would be in the way.
      await publishIn(broker, tx, numbered(ctx.name('new'), 2, 1))
      await rollback()
      await seen.fence(ctx.topic, ['k0', 'k1', 'k2', 'k3'])
      assert.equal(seen.deliveries.length, 0, 'messages came of a transaction that was rolled back')
      const other = await ctx.collect(broker, { group: ctx.name('other'), topics: [ctx.name('new')] })
      await broker.publish(numbered(ctx.name('new'), 3, 1, 100))
      await other.received(3)
      assert.deepEqual(other.deliveries.map(numberOf), [100, 101, 102])
    },
  },
  {
    name: 'the order of a key is that in which transactions and publishes follow each other',
    needs: (c) => c.transactions && c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker, { prefetch: 100 })
      for (let round = 0; round < 10; round++) {
        const { tx, commit, rollback } = await ctx.begin()
        // Asked for together: the order is that of the calls.
        await Promise.all([
          publishIn(broker, tx, numbered(ctx.topic, 3, 3, round * 12)),
          publishIn(broker, tx, numbered(ctx.topic, 3, 3, round * 12 + 3)),
        ])
        await (round % 4 === 3 ? rollback() : commit())
        await broker.publish(numbered(ctx.topic, 6, 3, round * 12 + 6))
      }
      await seen.received(10 * 12 - 2 * 6)
      assertKeyOrder(seen.deliveries)
    },
  },
  {
    name: 'a transaction that publishes hundreds of messages publishes all, in order, to every group, once',
    needs: (c) => c.transactions && c.groups,
    async run(ctx) {
      const [broker, other] = await Promise.all([ctx.broker(), ctx.broker()])
      const groups = await Promise.all(
        [broker, other].map((one, n) => ctx.collect(one, { group: ctx.name(`g${n}`), prefetch: 100 })),
      )
      const { tx, commit } = await ctx.begin()
      await publishIn(broker, tx, numbered(ctx.topic, 333, 5))
      await commit()
      for (const seen of groups) {
        await seen.received(333)
        await seen.fence(ctx.topic, ['k0'])
        assert.equal(new Set(seen.ids).size, 333)
        assert.equal(seen.deliveries.length, 333)
        assertKeyOrder(seen.deliveries)
      }
    },
  },
  {
    name: 'a transaction that is over is refused with TransactionClosedError, and nothing is written',
    needs: (c) => c.transactions,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const committed = await ctx.begin()
      await committed.commit()
      const rolledBack = await ctx.begin()
      await rolledBack.rollback()
      for (const { tx } of [committed, rolledBack]) {
        const publish = (): Promise<void> => publishIn(broker, tx, ctx.batch(message({ key: 'k' })))
        await rejects(publish, 'TransactionClosedError', 'a transaction that is over')
      }
      await seen.fence(ctx.topic, ['k'])
      assert.equal(seen.deliveries.length, 0)
    },
  },
  {
    name: "a transaction of another database's kind is refused with TransactionError, and nothing is written",
    needs: (c) => c.transactions,
    async run(ctx) {
      const broker = await ctx.broker()
      const { tx } = await ctx.begin()
      const executed: string[] = []
      const execute: Transaction['execute'] = async (sql) => {
        executed.push(sql)
        return []
      }
      const strange: Transaction = { dialect: tx.dialect === 'sqlite' ? 'postgres' : 'sqlite', execute }
      await rejects(() => publishIn(broker, strange, ctx.batch(message())), 'TransactionError', 'a strange transaction')
      assert.deepEqual(executed, [])
    },
  },
  {
    name: 'a batch that is refused leaves nothing in its transaction, which goes on',
    needs: (c) => c.transactions,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const { tx, commit } = await ctx.begin()
      const large = message({ key: 'k', body: 'x'.repeat(broker.capabilities.maxMessageBytes + 1) })
      const refused = ctx.batch(message({ key: 'k' }), large)
      await rejects(() => publishIn(broker, tx, refused), 'MessageTooLargeError', 'a body over the limit')
      // Fails in the database, after the first was written.
      const wrong = message({ key: 'k', version: null as never })
      await rejects(
        () => publishIn(broker, tx, ctx.batch(message({ key: 'k' }), wrong)),
        'Error',
        'a row without version',
      )
      const last = message({ key: 'k' })
      await publishIn(broker, tx, ctx.batch(last))
      await commit()
      await seen.receivedAll([last.id])
      await seen.fence(ctx.topic, ['k'])
      assert.deepEqual(seen.ids, [last.id])
    },
  },
  {
    name: 'a delayed message of a transaction comes after its commit, never early, and not after a rollback',
    needs: (c) => c.transactions && c.delay,
    async run(ctx) {
      const broker = await ctx.broker()
      const came = new Map<string, number>()
      const seen = await ctx.collect(broker, {}, ({ message: { id } }) => {
        came.set(id, Date.now())
        return { ack: true }
      })
      const deliverAt = Date.now() + 400
      const [kept, gone] = [message(), message()]
      const cancelled = await ctx.begin()
      await publishIn(broker, cancelled.tx, [{ topic: ctx.topic, message: gone, deliverAt }])
      await cancelled.rollback()
      const { tx, commit } = await ctx.begin()
      await publishIn(broker, tx, [{ topic: ctx.topic, message: kept, deliverAt }])
      await commit()
      await seen.receivedAll([kept.id])
      assert.ok((came.get(kept.id) ?? 0) >= deliverAt, 'it came early')
      assert.deepEqual(seen.ids, [kept.id])
    },
  },
  {
    name: 'a broker without transactions refuses one with UnsupportedError that says what to use, and sends nothing',
    needs: (c) => !c.transactions,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen = await ctx.collect(await ctx.broker())
      const executed: string[] = []
      const execute: Transaction['execute'] = async (sql) => {
        executed.push(sql)
        return []
      }
      const Placed = event('ConformancePlaced', typed<object>())
      const publish = (): Promise<void> => bus.publish(Placed.create({}), { tx: { dialect: 'postgres', execute } })
      const error = await rejects(publish, 'UnsupportedError', 'a transaction')
      assert.match(error.message, /outbox/)
      await seen.fence(ctx.topic)
      assert.equal(seen.deliveries.length, 0)
      assert.deepEqual(executed, [])
    },
  },
]

async function publishIn(broker: Broker, tx: Transaction, batch: readonly Outgoing[]): Promise<void> {
  assert.ok(broker.publishIn !== undefined, 'the broker says that it can and has no publishIn')
  await broker.publishIn(tx, batch)
}
