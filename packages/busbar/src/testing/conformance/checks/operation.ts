import assert from 'node:assert/strict'
import type { Outgoing, PublishError } from '../../../broker/index.ts'
import { message, numbered, numberOf } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { ack, deadLetter, firstTime, redeliver } from '../verdicts.ts'
import { Gate } from '../../suite/waiting.ts'

/** What is seen from outside while it runs: metrics, leaks, interruptions. */
export const operationChecks: readonly Check[] = [
  {
    name: 'a hundred subscribe and unsubscribe cycles leak nothing, and the next member gets each message once',
    heavy: true,
    async run(ctx) {
      const child = await ctx.child({ exposeGc: true })
      const cycles = async (count: number): Promise<void> => {
        for (let n = 0; n < count; n++) {
          const broadcast = !ctx.capabilities.groups || (n % 2 === 1 && ctx.capabilities.broadcast)
          await child.subscribe(ctx.spec({ broadcast }))
          await child.unsubscribe()
        }
      }
      await cycles(20)
      const [heap, resources] = [await child.heap(), (await child.resources()).length]
      await cycles(100)
      await ctx.eventually(
        async () => (await child.resources()).length <= resources,
        'timers and handles of ended subscriptions to be gone',
      )
      const grown = (await child.heap()) - heap
      assert.ok(grown < 2 * 2 ** 20, `the heap grew by ${grown} bytes over 100 cycles`)
      await child.subscribe(ctx.spec())
      const batch = numbered(ctx.topic, 10, 2)
      await child.publish(batch)
      for (const one of batch) await child.reported('ended', one.message.id)
      assert.equal(child.of('began').length, 10)
    },
  },
  {
    name: 'a process whose broker has stopped ends by itself',
    async run(ctx) {
      const child = await ctx.child()
      await child.subscribe(ctx.spec(), [], false, 'first')
      await child.subscribe(ctx.spec({ group: ctx.name('other') }), [], false, 'second')
      const sent = numbered(ctx.topic, 20, 4)
      await child.publish(sent)
      for (const one of sent) await child.reported('ended', one.message.id)
      await child.stop()
      await child.disconnect()
      await child.ended()
    },
  },
  {
    name: 'metrics tell lag, in flight, redelivering, dead, depth and delayed as they are',
    needs: (c) => c.deadLetters && c.redelivery && c.delay && c.groups,
    async run(ctx) {
      const broker = await ctx.broker()
      const gate = new Gate()
      const failing = firstTime((delivery) =>
        numberOf(delivery) === 0 ? redeliver(delivery, 60_000) : deadLetter(delivery),
      )
      const seen = await ctx.collect(broker, { prefetch: 4 }, async (delivery) => {
        if (numberOf(delivery) < 3) return failing(delivery)
        await gate.opened
        return ack
      })
      await broker.publish(numbered(ctx.topic, 20, 1))
      await broker.publish([{ topic: ctx.topic, message: message(), deliverAt: Date.now() + 60_000 }])
      await seen.received(7)
      const told = async (): Promise<object> => {
        const metrics = await broker.metrics()
        const { lag, inFlight, redelivering, parked, dead } =
          metrics.groups.find(({ group }) => group === ctx.group) ?? {}
        const { delayed } = metrics.topics.find(({ topic }) => topic === ctx.topic) ?? {}
        return { lag, inFlight, redelivering, parked, dead, delayed }
      }
      const expected = { lag: 18, inFlight: 4, redelivering: 1, parked: 0, dead: 2, delayed: 1 }
      let last: object = {}
      const right = async (): Promise<boolean> => {
        last = await told()
        return JSON.stringify(last) === JSON.stringify(expected)
      }
      await ctx.eventually(right, () => `metrics ${JSON.stringify(expected)}; they say ${JSON.stringify(last)}`)
      gate.open()
      await seen.received(20)
      await ctx.eventually(
        async () => {
          last = await told()
          return JSON.stringify(last) === JSON.stringify({ ...expected, lag: 1, inFlight: 0 })
        },
        () => `lag 1 and nothing in flight; metrics say ${JSON.stringify(last)}`,
      )
      const depth = (await broker.metrics()).topics.find(({ topic }) => topic === ctx.topic)?.depth ?? -1
      assert.ok(depth >= 1, `depth ${depth} with a message still to be redelivered`)
    },
  },
  {
    name: 'goes on after the broker could not be reached, nothing confirmed is lost, and a refusal says what was not confirmed',
    fault: 'interrupt',
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const confirmed: string[] = []
      const publish = async (batch: readonly Outgoing[]): Promise<void> => {
        try {
          await broker.publish(batch)
          confirmed.push(...batch.map((one) => one.message.id))
        } catch (error) {
          const failed =
            (error as Partial<PublishError>).failed ?? batch.map(({ message: { id } }, index) => ({ id, index }))
          for (const { id, index } of failed)
            assert.equal(batch[index]?.message.id, id, 'the error names another message')
          const refused = new Set(failed.map(({ id }) => id))
          confirmed.push(...batch.map((one) => one.message.id).filter((id) => !refused.has(id)))
        }
      }
      const sent = numbered(ctx.topic, 60, 6)
      for (const one of sent.slice(0, 20)) await publish([one])
      const end = await ctx.cause('interrupt')
      const during = Promise.all([publish(sent.slice(20, 30)), ...sent.slice(30, 40).map((one) => publish([one]))])
      await ctx.grace()
      await end()
      await during
      await publish(sent.slice(40, 60))
      assert.ok(confirmed.length >= 40, `${confirmed.length} of 60 confirmed`)
      await seen.receivedAll(confirmed)
    },
  },
]
