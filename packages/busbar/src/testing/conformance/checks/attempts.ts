import assert from 'node:assert/strict'
import { message } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack } from '../verdicts.ts'

/** Attempts and crashes, counted with the message and not in the memory of a process. */
export const attemptChecks: readonly Check[] = [
  {
    name: 'a consumer killed between its effect and the ack: the message comes again with the attempt counted',
    needs: (c) => c.multiProcess && c.durable && c.countsCrashes,
    async run(ctx) {
      const { lease } = ctx.options
      const broker = await ctx.broker({ lease })
      const one = message({ key: 'k' })
      const child = await ctx.child({ lease })
      // The effect is the report; the process dies before its verdict.
      await child.subscribe(ctx.spec(), [{ act: { do: 'kill' } }])
      await broker.publish(ctx.batch(one))
      await child.ended()
      assert.equal(child.of('began', one.id).length, 1)
      const seen = await ctx.collect(broker)
      await seen.receivedAll([one.id])
      const { attempts, crashes } = seen.deliveries[0] ?? { attempts: 0, crashes: 0 }
      assert.ok(attempts >= 1, `the attempt was not counted: ${attempts}`)
      assert.ok(crashes <= attempts, `${crashes} crashes of ${attempts} attempts`)
    },
  },
  {
    name: 'attempts never decrease, whatever process gets the message next',
    needs: (c) => c.multiProcess && c.durable && c.redelivery && c.countsCrashes,
    heavy: true,
    async run(ctx) {
      const { lease } = ctx.options
      const broker = await ctx.broker({ lease })
      const one = message({ key: 'k' })
      const attempts: number[] = []
      await (await ctx.collect(broker, {}, () => ack)).stop()
      await broker.publish(ctx.batch(one))
      for (const act of [
        { do: 'redeliver', after: 0 },
        { do: 'kill' },
        { do: 'redeliver', after: 0 },
        { do: 'kill' },
      ] as const) {
        const child = await ctx.child({ lease })
        // It gives the message back once and hangs then, or dies.
        const tries = attempts.length
        await child.subscribe(ctx.spec(), [{ act: act.do === 'kill' ? act : { ...act, after: 50 } }])
        const { attempts: begun } = await child.reported('began', one.id)
        attempts.push(begun)
        assert.ok(begun >= tries, `${begun} attempts known after ${tries} runs`)
        if (act.do === 'kill') await child.ended()
        else await child.reported('ended', one.id)
        if (act.do === 'redeliver') await child.unsubscribe()
        for (const report of child.of('began', one.id).slice(1)) attempts.push(report.attempts)
      }
      const seen = await ctx.collect(broker)
      await seen.receivedAll([one.id])
      attempts.push(seen.deliveries[0]?.attempts ?? -1)
      assert.deepEqual(
        attempts,
        attempts.toSorted((a, b) => a - b),
        `attempts: ${attempts.join(', ')}`,
      )
      assert.ok((attempts.at(-1) ?? 0) >= 4, `attempts: ${attempts.join(', ')}`)
    },
  },
  {
    name: 'crashes are counted with the message, so that a message that kills its process can be put aside',
    needs: (c) => c.multiProcess && c.durable && c.countsCrashes,
    heavy: true,
    async run(ctx) {
      const lease = ctx.options.lease / 2
      const broker = await ctx.broker({ lease })
      await (await ctx.collect(broker)).stop()
      const fatal = message({ key: 'k' })
      await broker.publish(ctx.batch(fatal))
      for (let death = 0; death < 3; death++) {
        const child = await ctx.child({ lease })
        await child.subscribe(ctx.spec(), [{ act: { do: 'kill' } }])
        await child.ended()
      }
      const seen = await ctx.collect(broker)
      await seen.receivedAll([fatal.id])
      // The first death may leave open whether the run had begun: then the message is a suspect and counted from there on.
      assert.ok((seen.deliveries[0]?.crashes ?? 0) >= 2, `crashes: ${seen.deliveries[0]?.crashes} after 3 deaths`)
      assert.ok((seen.deliveries[0]?.attempts ?? 0) >= 3, `attempts: ${seen.deliveries[0]?.attempts} after 3 deaths`)
    },
  },
  {
    name: 'runs told with began are counted after kill -9',
    needs: (c) => c.multiProcess && c.durable && c.countsCrashes,
    async run(ctx) {
      const { lease } = ctx.options
      const broker = await ctx.broker({ lease })
      const one = message({ key: 'k' })
      const child = await ctx.child({ lease })
      await child.subscribe(ctx.spec(), [{ act: { do: 'hold' }, began: 3 }])
      await broker.publish(ctx.batch(one))
      await child.reported('retrying', one.id)
      await child.kill()
      const seen = await ctx.collect(broker)
      await seen.receivedAll([one.id])
      assert.ok((seen.deliveries[0]?.attempts ?? 0) >= 3, `attempts: ${seen.deliveries[0]?.attempts} after 3 runs`)
    },
  },
]
