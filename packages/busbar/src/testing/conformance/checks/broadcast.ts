import assert from 'node:assert/strict'
import { assertEachOnce, numbered } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { rejects } from '../verdicts.ts'

/** A copy for every member. */
export const broadcastChecks: readonly Check[] = [
  {
    name: 'broadcast: every member gets a copy of everything',
    needs: (c) => c.broadcast,
    async run(ctx) {
      const broker = await ctx.broker()
      const members = await Promise.all(Array.from({ length: 5 }, () => ctx.collect(broker, { broadcast: true })))
      const sent = numbered(ctx.topic, 50, 5)
      await broker.publish(sent)
      for (const member of members) {
        await member.received(50)
        assertEachOnce(
          member.ids,
          sent.map(({ message: { id } }) => id),
        )
      }
    },
  },
  {
    name: 'broadcast: nothing is kept for a member while it is away',
    needs: (c) => c.broadcast,
    async run(ctx) {
      const broker = await ctx.broker()
      const before = await ctx.collect(broker, { broadcast: true })
      await broker.publish(numbered(ctx.topic, 5, 1))
      await before.received(5)
      await before.stop()
      await broker.publish(numbered(ctx.topic, 20, 1))
      const after = await ctx.collect(broker, { broadcast: true })
      await after.fence(ctx.topic, ['k0'])
      assert.equal(after.deliveries.length, 0)
    },
  },
  {
    name: 'broadcast: every process gets a copy',
    needs: (c) => c.broadcast && c.multiProcess,
    async run(ctx) {
      const broker = await ctx.broker()
      const children = await Promise.all([ctx.child(), ctx.child(), ctx.child()])
      await Promise.all(children.map((child) => child.subscribe(ctx.spec({ broadcast: true }))))
      const sent = numbered(ctx.topic, 20, 4).map((one) => ({ ...one }))
      await broker.publish(sent)
      for (const child of children) {
        for (const { message: one } of sent) await child.reported('ended', one.id)
        assert.equal(child.of('began').length, 20)
      }
    },
  },
  {
    name: 'a broker that cannot broadcast refuses to',
    needs: (c) => !c.broadcast,
    async run(ctx) {
      const broker = await ctx.broker()
      await rejects(() => ctx.collect(broker, { broadcast: true }), 'UnsupportedError', 'a broadcast subscription')
    },
  },
]
