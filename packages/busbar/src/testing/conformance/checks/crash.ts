import assert from 'node:assert/strict'
import { existsSync, writeFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Verdict } from '../../../broker/index.ts'
import { message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, redeliver } from '../verdicts.ts'

/** Processes that die, and what must not die with them. All children are really started and really killed. */
export const crashChecks: readonly Check[] = [
  {
    name: 'a consumer killed with -9 in its handler: the message comes again',
    needs: (c) => c.multiProcess && c.durable && c.delivery === 'at-least-once',
    async run(ctx) {
      const { lease } = ctx.options
      const [broker, child] = await Promise.all([ctx.broker({ lease }), ctx.child({ lease })])
      await child.subscribe(ctx.spec(), [{ act: { do: 'hold' } }])
      const one = message({ key: 'k' })
      await broker.publish(ctx.batch(one))
      await child.reported('began', one.id)
      const seen = await ctx.collect(broker)
      // Time enough for an ack that came too early to be written.
      await ctx.grace()
      await child.kill()
      await seen.receivedAll([one.id])
    },
  },
  {
    name: 'after kill -9 at most prefetch settled messages come again, and none is lost',
    needs: (c) => c.multiProcess && c.durable && c.delivery === 'at-least-once',
    async run(ctx) {
      const { lease } = ctx.options
      const [broker, child] = await Promise.all([ctx.broker({ lease }), ctx.child({ lease })])
      const sent = numbered(ctx.topic, 200, 10)
      const fatal = sent[120]?.message.id ?? ''
      await child.subscribe(ctx.spec({ prefetch: 5 }), [{ when: { ids: [fatal] }, act: { do: 'kill' } }])
      await broker.publish(sent)
      await child.ended()
      const settled = new Set(child.of('ended').map(({ id }) => id))
      const seen = await ctx.collect(broker)
      await seen.receivedAll(sent.map((one) => one.message.id).filter((id) => !settled.has(id)))
      const again = seen.ids.filter((id) => settled.has(id))
      assert.ok(again.length <= 5, `${again.length} settled messages came again with prefetch 5`)
    },
  },
  {
    name: 'a publisher killed with -9 while it awaits confirmations: no confirmed message is lost',
    needs: (c) => c.multiProcess && c.durable && c.replay,
    async run(ctx) {
      const publisher = await ctx.child()
      await publisher.publishOn(ctx.topic, 8)
      await ctx.eventually(() => publisher.confirmed.length >= 300, '300 confirmations')
      await publisher.kill()
      const seen = await ctx.collect(await ctx.broker(), { from: 'earliest', prefetch: 100 })
      await seen.receivedAll(publisher.confirmed)
      for (const lane of new Set(seen.deliveries.map(({ message: { key } }) => key))) {
        const numbers = seen.deliveries.filter(({ message: { key } }) => key === lane).map(numberOf)
        assert.deepEqual(
          numbers,
          numbers.map((_, n) => n),
          `${String(lane)} has a gap or is out of order`,
        )
      }
    },
  },
  {
    name: 'publish resolves only when confirmed: another process can read it at once, with the publisher killed',
    needs: (c) => c.multiProcess && c.durable && c.replay,
    async run(ctx) {
      const [publisher, broker] = await Promise.all([ctx.child(), ctx.broker()])
      const sent = numbered(ctx.topic, 20, 2)
      await publisher.publish(sent)
      await publisher.kill()
      const seen = await ctx.collect(broker, { from: 'earliest' })
      await seen.receivedAll(sent.map((one) => one.message.id))
    },
  },
  {
    name: 'when all processes are killed at once nothing confirmed is lost',
    needs: (c) => c.multiProcess && c.durable && c.delivery === 'at-least-once',
    heavy: true,
    async run(ctx) {
      const { lease } = ctx.options
      const children = await Promise.all([ctx.child({ lease }), ctx.child({ lease }), ctx.child({ lease })])
      await Promise.all(
        children.map((child) => child.subscribe(ctx.spec({ prefetch: 5 }), [{ slow: 2, act: { do: 'ack' } }])),
      )
      const [publisher] = children
      await publisher?.publishOn(ctx.topic, 4)
      await ctx.eventually(() => (publisher?.confirmed.length ?? 0) >= 200, '200 confirmations')
      await Promise.all(children.map((child) => child.kill()))
      const settled = new Set(children.flatMap((child) => child.of('ended').map(({ id }) => id)))
      const rest = (publisher?.confirmed ?? []).filter((id) => !settled.has(id))
      const seen = await ctx.collect(await ctx.broker({ lease }), { prefetch: 100 })
      await seen.receivedAll(rest)
    },
  },
  {
    name: 'a handler longer than its lease keeps the message and is not run twice at once',
    needs: (c) => c.multiProcess && c.delivery === 'at-least-once',
    async run(ctx) {
      const { lease } = ctx.options
      const [broker, child] = await Promise.all([ctx.broker({ lease }), ctx.child({ lease })])
      await child.subscribe(ctx.spec(), [{ when: { body: 'slow' }, slow: lease * 2.5, act: { do: 'ack' } }])
      const slow = message({ key: 'k', body: 'slow' })
      await broker.publish(ctx.batch(slow))
      await child.reported('began', slow.id)
      const other = await ctx.collect(broker)
      await child.reported('ended', slow.id)
      const marker = message({ key: 'k' })
      await broker.publish(ctx.batch(marker))
      await ctx.eventually(
        () => other.of(marker.id).length + child.of('ended', marker.id).length > 0,
        'the next message of the key',
      )
      assert.equal(child.of('aborted').length, 0, 'the lease was lost while the handler ran')
      assert.equal(other.of(slow.id).length + child.of('began', slow.id).length, 1, 'the message was handled twice')
    },
  },
  {
    name: 'a verdict that comes after the lease was lost does no harm, and its signal is aborted',
    needs: (c) => c.multiProcess && c.durable && c.deadLetters && c.countsCrashes,
    async run(ctx) {
      const { lease } = ctx.options
      const [broker, child] = await Promise.all([ctx.broker({ lease }), ctx.child({ lease })])
      const until = join(tmpdir(), `busbar-conformance-${ctx.namespace}.flag`)
      ctx.onEnd(() => rmSync(until, { force: true }))
      const one = message({ key: 'k' })
      await child.subscribe(ctx.spec(), [
        { when: { ids: [one.id] }, act: { do: 'block', until, verdict: 'deadLetter' } },
      ])
      await broker.publish(ctx.batch(one))
      await child.reported('began', one.id)
      const other = await ctx.collect(broker)
      await other.receivedAll([one.id])
      assert.equal(existsSync(until), false)
      writeFileSync(until, '')
      await child.reported('ended', one.id)
      await child.reported('aborted', one.id)
      await child.stop()
      await other.fence(ctx.topic, ['k'])
      assert.equal(await broker.deadLetters.count({ group: ctx.group }), 0, 'the late verdict made a dead letter')
      assert.equal(other.of(one.id).length, 1, 'the late verdict brought the message back')
    },
  },
  {
    name: 'what processes have died with runs one at a time in the next one, also where it is of two groups',
    needs: (c) => c.multiProcess && c.durable && c.groups && c.countsCrashes,
    heavy: true,
    async run(ctx) {
      const lease = ctx.options.lease / 2
      const groups = [ctx.group, ctx.name('other')]
      const broker = await ctx.broker({ lease })
      // The groups have to be there before the message is.
      for (const group of groups) await (await ctx.collect(broker, { group })).stop()
      const one = message({ key: 'k' })
      await broker.publish(ctx.batch(one))
      // The first death may leave open what had begun.
      for (let death = 0; death < 2; death++) {
        const child = await ctx.child({ lease })
        for (const group of groups) await child.subscribe(ctx.spec({ group }), [{ act: { do: 'hold' } }], false, group)
        await ctx.eventually(() => child.of('began', one.id).length === groups.length, 'both groups to have it')
        await child.kill()
      }
      const runs: { readonly began: number; ended: number }[] = []
      const run = async (): Promise<Verdict> => {
        const mine = { began: performance.now(), ended: Infinity }
        runs.push(mine)
        await sleep(300)
        mine.ended = performance.now()
        return ack
      }
      const members = await Promise.all(groups.map((group) => ctx.collect(broker, { group }, run)))
      for (const seen of members) await seen.receivedAll([one.id])
      await ctx.eventually(() => runs.every(({ ended }) => ended < Infinity), 'the runs to end')
      for (const { deliveries } of members) assert.ok((deliveries[0]?.crashes ?? 0) >= 1, 'no crash was counted')
      const [first, second] = runs.toSorted((a, b) => a.began - b.began)
      assert.ok(first !== undefined && second !== undefined)
      // What runs for a second counts as harmless, on a machine that is so slow.
      const alone = Math.min(first.ended, first.began + 900)
      assert.ok(second.began >= alone, `the second run began ${second.began - first.began} ms after the first`)
    },
  },
  {
    name: 'a redelivery outlives kill -9 of the process that asked for it',
    needs: (c) => c.multiProcess && c.durable && c.redelivery,
    async run(ctx) {
      const { lease } = ctx.options
      const [broker, child] = await Promise.all([ctx.broker({ lease }), ctx.child({ lease })])
      const [one, marker] = [message({ key: 'k' }), message({ key: 'marker' })]
      await child.subscribe(ctx.spec(), [{ when: { ids: [one.id] }, act: { do: 'redeliver', after: 1_000 } }])
      await broker.publish(ctx.batch(one, marker))
      await child.reported('ended', one.id)
      const redelivering = async (): Promise<number | undefined> =>
        (await broker.metrics()).groups.find(({ group }) => group === ctx.group)?.redelivering
      await ctx.eventually(async () => (await redelivering()) === 1, 'the redelivery to be stored')
      await child.kill()
      const seen = await ctx.collect(broker, {}, (delivery) => (delivery.redeliveries < 2 ? redeliver(delivery) : ack))
      await seen.receivedAll([one.id])
      assert.ok((seen.of(one.id)[0]?.redeliveries ?? 0) >= 1)
      assert.ok((seen.of(one.id)[0]?.attempts ?? 0) >= 1)
    },
  },
]
