import assert from 'node:assert/strict'
import { assertEachOnce, message, numbered } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, firstTime, redeliver, rejects } from '../verdicts.ts'
import { Gate } from '../../suite/waiting.ts'

/** Groups, their members, and broadcast. */
export const groupChecks: readonly Check[] = [
  {
    name: 'every group gets every message',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const groups = await Promise.all(
        ['a', 'b', 'c', 'd'].map((name) => ctx.collect(broker, { group: ctx.name(name) })),
      )
      const sent = numbered(ctx.topic, 100, 5)
      await broker.publish(sent)
      for (const seen of groups) {
        await seen.received(100)
        assertEachOnce(
          seen.ids,
          sent.map(({ message: { id } }) => id),
        )
      }
    },
  },
  {
    name: 'members of a group compete: each of 2,000 messages goes to one of 20 members',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const members = await Promise.all(Array.from({ length: 20 }, () => ctx.collect(broker)))
      const sent = numbered(ctx.topic, 2_000, 100)
      await Promise.all(Array.from({ length: 40 }, (_, n) => broker.publish(sent.slice(n * 50, (n + 1) * 50))))
      const total = (): string[] => members.flatMap((member) => member.ids)
      const different = (): number => new Set(total()).size
      await ctx.eventually(
        () => different() === 2_000,
        () => `2000 messages over all members; ${different()} came`,
      )
      assertEachOnce(
        total(),
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a member that joins gets its share, and one that leaves hands over its own',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const first = await ctx.collect(broker)
      const second = await ctx.collect(broker)
      const share = async (members: readonly (typeof first)[]): Promise<void> => {
        const before = members.map((member) => member.deliveries.length)
        await ctx.eventually(async () => {
          await broker.publish(numbered(ctx.topic, 40, 40))
          return members.every((member, index) => member.deliveries.length > (before[index] ?? 0))
        }, 'every member to get some of the messages')
      }
      await share([first, second])
      await second.stop()
      const count = second.deliveries.length
      const sent = numbered(ctx.topic, 40, 40)
      await broker.publish(sent)
      await first.receivedAll(sent.map(({ message: { id } }) => id))
      assert.equal(second.deliveries.length, count, 'a member that had left got more')
    },
  },
  {
    name: 'a failure in one group does not make another group run again',
    needs: (c) => c.groups && c.redelivery,
    async run(ctx) {
      const broker = await ctx.broker()
      const failing = await ctx.collect(broker, { group: ctx.name('failing') }, firstTime(redeliver))
      const sound = await ctx.collect(broker, { group: ctx.name('sound') })
      await broker.publish(numbered(ctx.topic, 20, 4))
      await failing.received(40)
      await sound.received(20)
      await sound.fence(ctx.topic, ['k0', 'k1', 'k2', 'k3'])
      assert.equal(sound.deliveries.length, 20)
    },
  },
  {
    name: 'a group that is away misses nothing',
    needs: (c) => c.groups && c.durable,
    async run(ctx) {
      const broker = await ctx.broker()
      const before = await ctx.collect(broker)
      await broker.publish(numbered(ctx.topic, 10, 2))
      await before.received(10)
      await before.stop()
      const sent = numbered(ctx.topic, 50, 5)
      await broker.publish(sent)
      const after = await ctx.collect(broker)
      await after.received(50)
      assertEachOnce(
        after.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a group that returns goes on where it was, whatever its member asks for as a beginning',
    needs: (c) => c.groups && c.durable && c.replay,
    async run(ctx) {
      const broker = await ctx.broker()
      const before = await ctx.collect(broker, { from: 'earliest' })
      await broker.publish(numbered(ctx.topic, 10, 2))
      await before.received(10)
      await before.stop()
      const after = await ctx.collect(broker, { from: 'earliest' })
      await after.fence(ctx.topic, ['k0', 'k1'])
      assert.equal(after.deliveries.length, 0, 'what was settled came again')
    },
  },
  {
    name: 'a new group that asks for the earliest gets what was published before it, in order',
    needs: (c) => c.replay && c.order === 'key',
    async run(ctx) {
      const broker = await ctx.broker()
      const sent = numbered(ctx.topic, 100, 1)
      await broker.publish(sent)
      const seen = await ctx.collect(broker, { from: 'earliest' })
      await seen.received(100)
      assert.deepEqual(
        seen.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a new group that asks for the latest gets only what is published after it',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const keys = ['k0', 'k1', 'k2']
      await broker.publish(numbered(ctx.topic, 30, 3))
      const seen = await ctx.collect(broker, { from: 'latest' })
      await seen.fence(ctx.topic, keys)
      assert.equal(seen.deliveries.length, 0)
    },
  },
  {
    name: 'a message published to one group reaches that group alone',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const [a, b] = [ctx.name('a'), ctx.name('b')]
      const [chosen, other] = [await ctx.collect(broker, { group: a }), await ctx.collect(broker, { group: b })]
      const one = message({ key: 'k' })
      await broker.publish([{ topic: ctx.topic, message: one, group: a }])
      await chosen.receivedAll([one.id])
      await other.fence(ctx.topic, ['k'])
      await ctx.grace()
      assert.equal(other.deliveries.length, 0)
      assert.equal(chosen.deliveries.length, 1)
    },
  },
  {
    name: 'a slow group does not stall another',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const hold = async () => {
        await gate.opened
        return ack
      }
      const slow = await ctx.collect(broker, { group: ctx.name('slow'), prefetch: 1 }, hold)
      const quick = await ctx.collect(broker, { group: ctx.name('quick') })
      await broker.publish(numbered(ctx.topic, 200, 10))
      await quick.received(200)
      // Nothing says that the slow one begins first.
      await slow.received(1)
      assert.equal(slow.deliveries.length, 1)
      gate.open()
      await slow.received(200)
    },
  },
  {
    name: 'a slow member does not stall its siblings in the group',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const members = await Promise.all(
        [0, 1].map((n) =>
          ctx.collect(broker, { prefetch: 1 }, async () => {
            if (n === 0) await gate.opened
            return ack
          }),
        ),
      )
      const [slow, quick] = members
      await ctx.eventually(async () => {
        await broker.publish(numbered(ctx.topic, 20, 20))
        return slow?.running === 1
      }, 'the slow member to get a message')
      const before = quick?.deliveries.length ?? 0
      await ctx.eventually(async () => {
        await broker.publish(numbered(ctx.topic, 20, 20))
        return (quick?.deliveries.length ?? 0) >= before + 50
      }, 'the quick member to go on')
      assert.equal(slow?.running, 1)
      gate.open()
      await slow?.settled()
    },
  },
  {
    name: 'a forgotten group is a new one',
    needs: (c) => c.groups && c.replay,
    async run(ctx) {
      const broker = await ctx.broker()
      const sent = numbered(ctx.topic, 10, 1)
      await broker.publish(sent)
      const before = await ctx.collect(broker, { from: 'earliest' })
      await before.received(10)
      await before.stop()
      await broker.deleteGroup(ctx.group)
      const after = await ctx.collect(broker, { from: 'earliest' })
      await after.received(10)
      assert.deepEqual(
        after.ids,
        sent.map(({ message: { id } }) => id),
      )
    },
  },
  {
    name: 'a group cannot be forgotten while it has members, and goes on then',
    needs: (c) => c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      await assert.rejects(broker.deleteGroup(ctx.group), 'a group with a member was deleted')
      await broker.publish(numbered(ctx.topic, 5, 1))
      await seen.received(5)
    },
  },
  {
    name: 'a group cannot be forgotten while it has a member in another process',
    needs: (c) => c.groups && c.multiProcess,
    async run(ctx) {
      const [broker, child] = await Promise.all([ctx.broker(), ctx.child()])
      await child.subscribe(ctx.spec())
      await assert.rejects(broker.deleteGroup(ctx.group), 'a group with a member in another process was deleted')
      await child.unsubscribe()
      await broker.deleteGroup(ctx.group)
    },
  },
  {
    name: 'a broker without groups refuses them',
    needs: (c) => !c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      await rejects(() => ctx.collect(broker, { broadcast: false }), 'UnsupportedError', 'a subscription of a group')
    },
  },
  {
    name: 'a broker that cannot replay refuses to begin at the earliest',
    needs: (c) => !c.replay,
    async run(ctx) {
      const broker = await ctx.broker()
      await rejects(() => ctx.collect(broker, { from: 'earliest' }), 'UnsupportedError', 'a beginning at the earliest')
    },
  },
]
