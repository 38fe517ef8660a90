import assert from 'node:assert/strict'
import type { DeadLetterStore } from '../../../broker/index.ts'
import { event, typed } from '../../../message/index.ts'
import type { EncodedMessage, Message } from '../../../message/message.ts'
import type { Check } from '../check.ts'
import { assertEachOnce, message } from '../../suite/messages.ts'
import { Gate } from '../../suite/waiting.ts'

const Placed = event('Placed', typed<{ readonly n: number }>())

interface Numbered {
  readonly data: { readonly n: number }
}

/** The bus over the broker: what follows a failure. */
export const busFailureChecks: readonly Check[] = [
  {
    name: 'bus: a poison message reaches the dead letters within its attempts and delays no other key',
    needs: (c) => c.groups && c.deadLetters && c.redelivery,
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retries: 2, minDelay: 5, maxDelay: 5, redeliveries: [20, 4_000] } })
      const attempts: number[] = []
      let others = 0
      const handler = ({ data }: Numbered, { attempt }: { readonly attempt: number }): void => {
        if (data.n >= 0) {
          others += 1
          return
        }
        attempts.push(attempt)
        throw new TypeError('poison')
      }
      await bus.subscribe(Placed, handler, { group: ctx.group, concurrency: 2, name: 'billing' })
      const poison = Placed.create({ n: -1 }, {}, { key: 'poison' })
      // In one call: how fast the broker takes them one by one is not the question.
      const healthy = Array.from({ length: 50 }, (_, n) => Placed.create({ n }, {}, { key: `k${n % 5}` }))
      await bus.publish([poison, ...healthy])
      await ctx.eventually(() => others === 50, 'the other keys')
      assert.ok(attempts.length < 9, 'the other keys waited for the poison message')
      await ctx.eventually(async () => (await bus.deadLetters.count({ group: ctx.group })) === 1, 'the dead letter')
      assert.deepEqual(attempts, [1, 2, 3, 4, 5, 6, 7, 8, 9])
      const [letter] = await bus.deadLetters.list({ group: ctx.group })
      const { reason, error, handler: name, attempts: counted } = letter?.failure ?? {}
      assert.deepEqual(
        { reason, error: error?.name, name, counted },
        { reason: 'failed', error: 'TypeError', name: 'billing', counted: 9 },
      )
      assert.deepEqual([letter?.message?.id, letter?.redeliveries, letter?.topic], [poison.id, 2, ctx.topic])
    },
  },
  {
    name: 'bus: an error that is not retryable goes straight to the dead letters',
    needs: (c) => c.groups && c.deadLetters,
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retryable: (error) => !(error instanceof RangeError) } })
      let runs = 0
      const handler = (): void => {
        runs += 1
        throw new RangeError('never')
      }
      await bus.subscribe(Placed, handler, { group: ctx.group })
      await bus.publish(Placed.create({ n: 1 }))
      await ctx.eventually(async () => (await bus.deadLetters.count({ group: ctx.group })) === 1, 'the dead letter')
      assert.equal(runs, 1)
    },
  },
  {
    name: 'bus: what cannot be decoded becomes a dead letter with its raw bytes, and the consumer goes on',
    needs: (c) => c.groups && c.deadLetters,
    async run(ctx) {
      const bus = await ctx.bus()
      const seen: number[] = []
      await bus.subscribe(Placed, ({ data }) => void seen.push(data.n), { group: ctx.group })
      const raw: Partial<EncodedMessage>[] = [
        { body: '{"n":', contentType: 'application/json' },
        { body: '{"n":1}', contentType: 'application/x-unknown' },
      ]
      const broken = raw.map((one) => message({ type: 'Placed', key: 'k', ...one }))
      await bus.getBroker().publish(ctx.batch(...broken))
      await bus.publish(Placed.create({ n: 2 }, {}, { key: 'k' }))
      await ctx.eventually(() => seen.length === 1, 'the next message')
      await ctx.eventually(async () => (await bus.deadLetters.count({ group: ctx.group })) === 2, 'two dead letters')
      const letters = await bus.deadLetters.list({ group: ctx.group })
      assert.deepEqual(
        letters.map(({ failure }) => failure.reason),
        ['undecodable', 'undecodable'],
      )
      assert.deepEqual(
        letters.map(({ raw: { body } }) => body),
        broken.map(({ body }) => body),
      )
    },
  },
  {
    name: 'bus: redrive reaches only the handler that failed, once, also with an edit',
    needs: (c) => c.groups && c.deadLetters,
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retries: 0, redeliveries: [] } })
      const failing: string[] = []
      const sound: string[] = []
      let repaired = false
      const handler = ({ id, data }: Message<{ readonly n: number }>): void => {
        if (!repaired) throw new Error('not yet')
        failing.push(`${id} ${data.n}`)
      }
      await bus.subscribe(Placed, handler, { group: ctx.name('failing') })
      await bus.subscribe(Placed, ({ id, data }) => void sound.push(`${id} ${data.n}`), { group: ctx.name('sound') })
      const [a, b] = [Placed.create({ n: 1 }), Placed.create({ n: 2 })]
      await bus.publish([a, b])
      await ctx.eventually(
        async () => (await bus.deadLetters.count({ group: ctx.name('failing') })) === 2,
        'dead letters',
      )
      repaired = true
      assert.equal(await bus.deadLetters.redrive({ messageId: a.id, group: ctx.name('failing') }), 1)
      const edit = { edit: (opened: Message) => ({ n: (opened as unknown as Numbered).data.n * 10 }) }
      assert.equal(await bus.deadLetters.redrive({ group: ctx.name('failing') }, edit), 1)
      await bus.idle({ timeout: ctx.options.patience })
      assertEachOnce(failing, [`${a.id} 1`, `${b.id} 20`])
      assertEachOnce(sound, [`${a.id} 1`, `${b.id} 2`])
      assert.equal(await bus.deadLetters.count({ group: ctx.name('failing') }), 0)
    },
  },
  {
    name: 'bus: no ack while a dead letter store of its own refuses: the message comes again to the next bus',
    needs: (c) => c.groups && c.deadLetters && c.durable && c.multiProcess,
    async run(ctx) {
      let refused = 0
      const store = await ctx.broker()
      const refusing: DeadLetterStore = Object.create(store.deadLetters, {
        put: { value: () => Promise.reject(new Error(`refused ${++refused}`)) },
      }) as DeadLetterStore
      const bus = await ctx.bus({ deadLetters: refusing, retry: { retries: 0, redeliveries: [] } })
      await bus.subscribe(Placed, () => assert.fail('poison'), { group: ctx.group })
      const one = Placed.create({ n: 1 })
      await bus.publish(one)
      await ctx.eventually(() => refused > 0, 'an attempt to store the dead letter')
      await bus.stop({ deadline: 200 })
      const seen: string[] = []
      await (await ctx.bus()).subscribe(Placed, ({ id }) => void seen.push(id), { group: ctx.group })
      await ctx.eventually(() => seen.includes(one.id), 'the message to come again')
    },
  },
  {
    name: 'bus: parking holds a failed key, and the redrive releases it in order while others went on',
    needs: (c) => c.groups && c.park && c.deadLetters,
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retries: 0, redeliveries: [] } })
      const seen: string[] = []
      let repaired = false
      const handler = ({ key, data }: Numbered & { readonly key?: string | undefined }): void => {
        if (key === 'sick' && data.n === 0 && !repaired) throw new Error('sick')
        seen.push(`${key}${data.n}`)
      }
      await bus.subscribe(Placed, handler, { group: ctx.group, onFailure: 'park' })
      for (let n = 0; n < 10; n++) {
        await bus.publish([Placed.create({ n }, {}, { key: 'sick' }), Placed.create({ n }, {}, { key: 'well' })])
      }
      await ctx.eventually(() => seen.length === 10, 'the other key')
      await ctx.grace()
      assert.deepEqual(
        seen,
        Array.from({ length: 10 }, (_, n) => `well${n}`),
      )
      // It is stored beside what the other key does, which on a busy machine takes longer than that.
      const isStored = async (): Promise<boolean> =>
        (await bus.deadLetters.count({ group: ctx.group, reason: 'failed' })) === 1
      await ctx.eventually(isStored, 'the dead letter')
      repaired = true
      await bus.deadLetters.redrive({ group: ctx.group, reason: 'failed' })
      await ctx.eventually(
        () => seen.length === 20,
        () => `20 handled; ${seen.join()}`,
      )
      assert.deepEqual(
        seen.slice(10),
        Array.from({ length: 10 }, (_, n) => `sick${n}`),
      )
    },
  },
  {
    name: 'bus: order of a key is kept while one of it is being retried, and other keys go on meanwhile',
    needs: (c) => c.groups && c.order === 'key',
    async run(ctx) {
      const bus = await ctx.bus({ retry: { retries: 3, minDelay: 50, maxDelay: 100 } })
      const runs: string[] = []
      const handler = (
        { key, data }: Numbered & { readonly key?: string | undefined },
        { attempt }: { readonly attempt: number },
      ): void => {
        runs.push(`${key}${data.n}`)
        if (key === 'a' && data.n === 1 && attempt <= 3) throw new Error('not yet')
      }
      await bus.subscribe(Placed, handler, { group: ctx.group, concurrency: 4 })
      for (let n = 0; n < 5; n++)
        await bus.publish([Placed.create({ n }, {}, { key: 'a' }), Placed.create({ n }, {}, { key: 'b' })])
      await bus.idle({ timeout: ctx.options.patience })
      assert.deepEqual(
        runs.filter((run) => run.startsWith('a')),
        ['a0', 'a1', 'a1', 'a1', 'a1', 'a2', 'a3', 'a4'],
      )
      assert.ok(runs.indexOf('b4') < runs.lastIndexOf('a1'), `the other key waited: ${runs.join()}`)
    },
  },
  {
    name: 'bus: an unsettled message blocks its key and no other, and keys run in parallel up to the concurrency',
    needs: (c) => c.groups && c.order === 'key',
    async run(ctx) {
      const bus = await ctx.bus()
      const gate = new Gate()
      const begun: string[] = []
      let running = 0
      let peak = 0
      const handler = async ({ key, data }: Numbered & { readonly key?: string | undefined }): Promise<void> => {
        begun.push(`${key}${data.n}`)
        peak = Math.max(peak, ++running)
        await gate.opened
        running -= 1
      }
      await bus.subscribe(Placed, handler, { group: ctx.group, concurrency: 3 })
      for (let n = 0; n < 3; n++) {
        await bus.publish(['a', 'b', 'c', 'd'].map((key) => Placed.create({ n }, {}, { key })))
      }
      await ctx.eventually(() => running === 3, 'three handlers at once')
      await ctx.grace()
      assert.equal(begun.length, 3)
      assert.ok(
        begun.every((run) => run.endsWith('0')),
        `a second message of a key began: ${begun.join()}`,
      )
      gate.open()
      await bus.idle({ timeout: ctx.options.patience })
      assert.equal(peak, 3)
      for (const key of ['a', 'b', 'c', 'd']) {
        assert.deepEqual(
          begun.filter((run) => run.startsWith(key)),
          [`${key}0`, `${key}1`, `${key}2`],
        )
      }
    },
  },
]
