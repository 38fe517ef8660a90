import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Broker, type Outgoing, PublishError, UnsupportedError } from '../broker/index.ts'
import { EventBus } from '../bus/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { event, MessageTooLargeError, typed } from '../message/index.ts'
import { SqliteBroker } from '../sqlite/index.ts'
import { Bridge, bridge } from './bridge.ts'
import { arrivals, publishAll } from './fixtures/killed.ts'

const logger = { warn() {}, error() {} }
const Counted = event('Counted', typed<{ n: number }>(), { key: ({ n }) => `k${n % 3}` })

let folder: string
const ended: (() => Promise<unknown>)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'busbar-bridge-'))
})
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
  rmSync(folder, { recursive: true, force: true })
})

async function sqlite(name: string): Promise<SqliteBroker> {
  const broker = new SqliteBroker({ file: join(folder, name), logger })
  await broker.start()
  ended.push(() => broker.stop({ deadline: 5_000 }))
  return broker
}

async function memory(): Promise<MemoryBroker> {
  const broker = new MemoryBroker()
  await broker.start()
  ended.push(() => broker.stop({ deadline: 0 }))
  return broker
}

/** A broker whose publish is another's, seen or spoiled on the way. */
function through(broker: Broker, publish: (batch: readonly Outgoing[]) => Promise<void>): Broker {
  return new Proxy(broker, {
    get: (target, name) => {
      if (name === 'publish') return publish
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test('ids, headers, keys and data are the same at the other side, for handlers of a bus', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const [sender, receiver] = [new EventBus(from, { source: 'shop' }), new EventBus(to)]
  const got: object[] = []
  await receiver.start()
  await receiver.subscribe(Counted, (message) => void got.push(message), { group: 'g' })
  await sender.start()
  const sent = Counted.create({ n: 1 }, { tenantId: 't', traceparent: '00-abc-def-01' }, { priority: 'high' })
  await sender.publish(sent)
  const moving = await bridge({ from, to, topics: ['events'] })
  await expect.poll(() => got.length).toBe(1)
  const { metadata, ...attributes } = sent
  expect(got[0]).toMatchObject({ ...attributes, source: 'shop', metadata: { ...metadata } })
  await expect.poll(() => moving.stats()).toEqual({ moved: 1, skipped: 0, refused: 0, waiting: 0 })
  await moving.stop()
})

test('a bridge begins at the beginning of the log and goes on where the last one of its name stopped', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const { ids } = await arrivals(to, 'events')
  const first = await publishAll(from, 'events', 50)
  const one = await bridge({ from, to, topics: ['events'] })
  await expect.poll(() => ids.length).toBe(50)
  await one.stop()
  const second = await publishAll(from, 'events', 50)
  const two = await bridge({ from, to, topics: ['events'] })
  await expect.poll(() => ids.length).toBe(100)
  await two.stop()
  expect(ids.toSorted((a, b) => a.localeCompare(b))).toEqual(
    [...first, ...second].toSorted((a, b) => a.localeCompare(b)),
  )
})

test('two bridges at once never double and never reorder, also while one comes and goes', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const again = await sqlite('from.db')
  const { ids, order } = await arrivals(to, 'events')
  const one = await bridge({ from, to, topics: ['events'], prefetch: 50, batch: 10 })
  const publishing = publishAll(from, 'events', 3_000)
  const two = await bridge({ from: again, to, topics: ['events'], prefetch: 50, batch: 10 })
  await expect.poll(() => two.stats().moved, { timeout: 30_000 }).toBeGreaterThan(20)
  await two.stop()
  const three = await bridge({ from: again, to, topics: ['events'], prefetch: 50, batch: 10 })
  const published = await publishing
  await expect.poll(() => new Set(ids).size, { timeout: 60_000 }).toBe(3_000)
  await Promise.all([one.stop(), three.stop()])
  expect(ids.length).toBe(published.length)
  for (const numbers of order.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
}, 120_000)

test('what was not confirmed goes again before anything later, however often it takes', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const { ids, order } = await arrivals(to, 'events')
  let calls = 0
  const flaky = through(to, async (batch) => {
    calls++
    // Of four calls one fails whole and one for every other key, as a broker does of which one partition is away.
    if (calls % 4 === 1) throw new Error('away')
    if (calls % 4 !== 3) return to.publish(batch)
    const isAway = ({ message: { key = '' } }: Outgoing): boolean => Number(key.slice(1)) % 2 === 0
    await to.publish(batch.filter((one) => !isAway(one)))
    const failed = batch.flatMap((one, index) =>
      isAway(one) ? [{ index, id: one.message.id, error: new Error('not this one') }] : [],
    )
    if (failed.length > 0) throw new PublishError(failed, batch.length)
  })
  await publishAll(from, 'events', 200)
  const moving = await bridge({ from, to: flaky, topics: ['events'], batch: 25, logger })
  await expect.poll(() => ids.length, { timeout: 30_000 }).toBe(200)
  await moving.stop()
  expect(new Set(ids).size).toBe(200)
  expect(moving.stats()).toEqual({ moved: 200, skipped: 0, refused: 0, waiting: 0 })
  for (const numbers of order.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
})

test('an order that only the retry can break is kept: the second of a key waits for the first', async () => {
  const [from, to] = [await sqlite('from.db'), await memory()]
  const sent: string[] = []
  let refusals = 3
  const picky = through(to, async (batch) => {
    if (refusals-- > 0) throw new Error('away')
    sent.push(...batch.map(({ message }) => message.metadata['n'] ?? ''))
    await to.publish(batch)
  })
  await publishAll(from, 'events', 40)
  const moving = await bridge({ from, to: picky, topics: ['events'], batch: 1, logger })
  await expect.poll(() => sent.length, { timeout: 30_000 }).toBe(40)
  await moving.stop()
  for (let key = 0; key < 12; key++) {
    const its = sent.map(Number).filter((n) => n % 12 === key)
    expect(its).toEqual(its.toSorted((a, b) => a - b))
  }
})

const refusals = {
  'as a whole': (): Error => new Error('not now'),
  'message by message': (batch: readonly Outgoing[], key: string): Error =>
    new PublishError(
      batch.flatMap(({ message }, index) =>
        message.key === key ? [{ index, id: message.id, error: new Error('not now') }] : [],
      ),
      batch.length,
    ),
}

test.each(Object.entries(refusals))(
  'a key that is refused for a while, %s, holds up no other, and keeps its order',
  async (_, refusal) => {
    const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
    const { order, ids } = await arrivals(to, 'events')
    let refusing = true
    const picky = through(to, async (batch) => {
      if (!refusing || !batch.some(({ message }) => message.key === 'k3')) return to.publish(batch)
      const error = refusal(batch, 'k3')
      if (error instanceof PublishError) await to.publish(batch.filter(({ message }) => message.key !== 'k3'))
      throw error
    })
    const first = await publishAll(from, 'events', 120)
    const moving = await bridge({ from, to: picky, topics: ['events'], batch: 40, logger })
    await expect.poll(() => ids.length, { timeout: 30_000 }).toBe(first.length - 10)
    // What comes now does not wait for it either, and what comes of its key waits behind it.
    const second = await publishAll(from, 'events', 120)
    await expect.poll(() => ids.length, { timeout: 30_000 }).toBe(first.length + second.length - 20)
    expect(order.has('k3')).toBe(false)
    expect(moving.stats()).toMatchObject({ moved: 220, waiting: 20, held: 1, failing: expect.stringContaining('not') })
    refusing = false
    await expect.poll(() => ids.length, { timeout: 30_000 }).toBe(240)
    expect(new Set(ids).size).toBe(240)
    for (const [key, numbers] of order) {
      const its = Array.from({ length: 10 }, (_each, n) => Number(key.slice(1)) + 12 * n)
      expect(numbers, key).toEqual([...its, ...its])
    }
    await expect.poll(() => moving.stats()).toEqual({ moved: 240, skipped: 0, refused: 0, waiting: 0 })
    await moving.stop()
  },
)

test('what waits for another try is given back at once when the bridge stops, and the next one moves it', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const { ids } = await arrivals(to, 'events')
  const picky = through(to, async (batch) => {
    if (batch.some(({ message }) => message.key === 'k3')) throw new Error('not now')
    await to.publish(batch)
  })
  await publishAll(from, 'events', 60)
  const one = await bridge({ from, to: picky, topics: ['events'], logger })
  await expect.poll(() => one.stats().held, { timeout: 30_000 }).toBe(1)
  // It would wait for ever otherwise.
  await one.stop({ deadline: 3_600_000 })
  const two = await bridge({ from, to, topics: ['events'], logger })
  await expect.poll(() => new Set(ids).size, { timeout: 30_000 }).toBe(60)
  await two.stop()
})

test('what the other side can never take is a dead letter here, and the rest of its batch goes on', async () => {
  const [from, to] = [await sqlite('from.db'), new MemoryBroker({ maxMessageBytes: 100 })]
  const small = through(to, async (batch) => {
    const large = batch.find(({ message: { body } }) => typeof body === 'string' && body.length > 100)
    if (large !== undefined) throw new MessageTooLargeError(`${large.message.id} is too large`)
    await to.publish(batch)
  })
  const bus = new EventBus(from)
  await bus.start()
  const Text = event('Text', typed<{ text: string }>())
  const texts = ['a', 'b'.repeat(200), 'c'].map((text) => Text.create({ text }, {}, { key: 'one' }))
  await bus.publish(texts)
  const got: string[] = []
  const spec = { group: 'g', topics: ['events'], broadcast: false, prefetch: 10, from: 'latest' } as const
  await to.subscribe({ ...spec, onFailure: 'continue' }, ({ message }) => {
    got.push(message.id)
    return { ack: true }
  })
  const moving = await bridge({ from, to: small, topics: ['events'], logger })
  await expect.poll(() => got).toEqual([texts[0]?.id, texts[2]?.id])
  await expect.poll(() => from.deadLetters.count()).toBe(1)
  const [letter] = await from.deadLetters.list()
  expect(letter).toMatchObject({
    group: 'bridge.bridge',
    message: { id: texts[1]?.id },
    failure: { error: { name: 'MessageTooLargeError' }, handler: "bridge 'bridge' to memory" },
  })
  expect(moving.stats()).toEqual({ moved: 2, skipped: 0, refused: 1, waiting: 0 })
  await moving.stop()
})

test('two of one name in opposite directions send nothing back', async () => {
  const [left, right] = [await sqlite('left.db'), await sqlite('right.db')]
  const [there, back] = [
    await bridge({ from: left, to: right, topics: ['events'], name: 'pair' }),
    await bridge({ from: right, to: left, topics: ['events'], name: 'pair' }),
  ]
  const [atLeft, atRight] = [await arrivals(left, 'events'), await arrivals(right, 'events')]
  const [fromLeft, fromRight] = [await publishAll(left, 'events', 20), await publishAll(right, 'events', 20)]
  await expect.poll(() => [there.stats().skipped, back.stats().skipped]).toEqual([20, 20])
  const all = [...fromLeft, ...fromRight].toSorted((a, b) => a.localeCompare(b))
  for (const { ids } of [atLeft, atRight]) {
    await expect.poll(() => ids.toSorted((a, b) => a.localeCompare(b))).toEqual(all)
  }
  await Promise.all([there.stop(), back.stop()])
})

test('data that never left a process is written by the codec where the other side is a wire', async () => {
  const [from, to] = [await memory(), await sqlite('to.db')]
  const [sender, receiver] = [new EventBus(from), new EventBus(to)]
  await sender.start()
  await receiver.start()
  const got: number[] = []
  await receiver.subscribe(Counted, ({ data }) => void got.push(data.n), { group: 'g' })
  const moving = await bridge({ from, to, topics: ['events'], only: ({ type }) => type === 'Counted' })
  await sender.publish([Counted.create({ n: 7 }), event('Other', typed<object>()).create({}), Counted.create({ n: 8 })])
  // They have no key, and so no order.
  await expect.poll(() => got.toSorted((a, b) => a - b)).toEqual([7, 8])
  expect(moving.stats()).toMatchObject({ moved: 2, skipped: 1 })
  await moving.stop()
})

test('while the other side is away it says why, and stop ends by its deadline with nothing lost', async () => {
  const [from, to] = [await sqlite('from.db'), await sqlite('to.db')]
  const away = through(to, () => Promise.reject(new Error('connection refused')))
  await publishAll(from, 'events', 10)
  const first = await bridge({ from, to: away, topics: ['events'], logger })
  await expect.poll(() => first.stats()).toMatchObject({ failing: 'connection refused', waiting: 10, moved: 0 })
  await first.stop({ deadline: 50 })
  const { ids } = await arrivals(to, 'events')
  const second = await bridge({ from, to, topics: ['events'], logger })
  await expect.poll(() => new Set(ids).size).toBe(10)
  await second.stop()
})

test('wrong settings are refused with what would be right', async () => {
  const [from, to] = [await memory(), await memory()]
  expect(() => new Bridge({ from, to, topics: [] })).toThrow(/name at least one topic/)
  expect(() => new Bridge({ from, to, topics: ['a'], name: 'a b' })).toThrow(/without blanks/)
  expect(() => new Bridge({ from, to, topics: ['a'], batch: 0 })).toThrow(/batch must be a whole number from 1, not 0/)
  const groupless = new Proxy(from, {
    get: (target, name) =>
      name === 'capabilities' ? { ...target.capabilities, groups: false } : (Reflect.get(target, name) as unknown),
  })
  await expect(bridge({ from: groupless, to, topics: ['a'] })).rejects.toThrow(UnsupportedError)
})
