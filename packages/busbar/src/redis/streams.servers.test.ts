import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { Deliver, Delivery, SubscriptionSpec, Verdict } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import { RedisPubSubBroker, RedisStreamsBroker, type RedisStreamsBrokerOptions } from './index.ts'

const url = process.env['BUSBAR_REDIS_URL'] ?? ''
const admin = new Redis(url)
const silent = { warn() {}, error() {} }
const ack: Verdict = { ack: true }
const stops: (() => Promise<void>)[] = []
let prefix = `busbar-test-${randomUUID()}`

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
  const keys = await admin.keys(`${prefix}:*`)
  if (keys.length > 0) await admin.del(...keys)
  prefix = `busbar-test-${randomUUID()}`
})

afterAll(() => admin.disconnect())

async function streams(options: RedisStreamsBrokerOptions = {}): Promise<RedisStreamsBroker> {
  const broker = new RedisStreamsBroker({ url, prefix, partitions: 2, logger: silent, ...options })
  stops.push(() => broker.stop({ deadline: 500 }))
  await broker.start()
  return broker
}

function spec(given: Partial<SubscriptionSpec> = {}): SubscriptionSpec {
  const defaults = { broadcast: false, prefetch: 10, from: 'latest', onFailure: 'continue' } as const
  return { group: 'g', topics: ['t'], ...defaults, ...given }
}

function message(body: string, key?: string): EncodedMessage {
  const id = randomUUID()
  const head = { id, type: 'T', kind: 'event', source: 's', time: new Date(), version: 1 } as const
  return { ...head, key, metadata: { correlationId: id }, contentType: 'application/json', body }
}

const batch = (count: number, key?: string) =>
  Array.from({ length: count }, (_, n) => ({ topic: 't', message: message(String(n), key) }))

function collector(verdict: Verdict | Promise<Verdict> = ack): {
  readonly seen: Delivery[]
  readonly deliver: Deliver
} {
  const seen: Delivery[] = []
  const deliver: Deliver = (delivery) => {
    seen.push(delivery)
    return verdict
  }
  return { seen, deliver }
}

const until = (what: () => boolean | Promise<boolean>) => expect.poll(what, { timeout: 20_000, interval: 5 }).toBe(true)

test('retention never trims what a group has not settled, and trims it then', async () => {
  const broker = await streams({ retention: { maxAge: 0 } })
  const gate = Promise.withResolvers<Verdict>()
  const { seen, deliver } = collector(gate.promise)
  await broker.subscribe(spec({ prefetch: 3 }), deliver)
  await broker.publish(batch(20, 'k'))
  await until(() => seen.length === 3)
  const depth = async (): Promise<number> => (await broker.metrics()).topics[0]?.depth ?? -1
  // Other topics are trimmed meanwhile: retention has been here.
  await broker.publish([{ topic: 'unread', message: message('1') }])
  await until(async () => (await broker.metrics()).topics.find(({ topic }) => topic === 'unread')?.depth === 0)
  expect(await depth()).toBe(20)
  gate.resolve(ack)
  await until(() => seen.length === 20)
  await until(async () => (await depth()) === 0)
})

test('a broadcast misses nothing between two reads, however slow it is', async () => {
  const broker = await streams()
  const seen: string[] = []
  const slow: Deliver = async ({ message: { id } }) => {
    seen.push(id)
    await new Promise((resolve) => setImmediate(resolve))
    return ack
  }
  await broker.subscribe(spec({ broadcast: true, prefetch: 1 }), slow)
  const sent = batch(200, 'k')
  for (let n = 0; n < 200; n += 20) await broker.publish(sent.slice(n, n + 20))
  await until(() => seen.length >= 200)
  expect(seen).toEqual(sent.map((one) => one.message.id))
})

test('what a plain client adds reaches the handler, and garbage goes to the dead letters while the consumer goes on', async () => {
  const broker = await streams()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const stream = `${prefix}:{t}:0`
  await admin.xadd(stream, '*', 'hello', 'world')
  const event = ['specversion', '1.0', 'id', 'x', 'type', 'T', 'source', '/s', 'data', '{"n":1}']
  await admin.xadd(stream, '*', ...event)
  await until(() => seen.length === 1)
  expect(seen[0]?.message).toMatchObject({ id: 'x', type: 'T', body: '{"n":1}' })
  await until(async () => (await broker.deadLetters.count({ group: 'g' })) === 1)
  const [letter] = await broker.deadLetters.list({ group: 'g' })
  expect(letter?.failure).toMatchObject({ reason: 'undecodable', error: { name: 'DecodeError' } })
  expect(letter?.message.body).toBe('{"hello":"world"}')
})

test('a verdict of a member whose token is not the latest changes nothing', async () => {
  const broker = await streams()
  const gate = Promise.withResolvers<Verdict>()
  const { seen, deliver } = collector(gate.promise)
  await broker.subscribe(spec(), deliver)
  await broker.publish(batch(1, 'k'))
  await until(() => seen.length === 1)
  const group = `${prefix}:{t}:g:g`
  const n = seen[0]?.position.split('@')[0] ?? ''
  // As if somebody else had taken the partition.
  await admin.hincrby(group, `t:${n}`, 1)
  await admin.hset(group, `o:${n}`, 'another')
  const failure = { reason: 'failed', error: { name: 'E', message: 'x' }, handler: 'h', attempts: 1 } as const
  gate.resolve({ deadLetter: { ...failure, firstFailedAt: 1, lastFailedAt: 1 } })
  await until(() => seen[0]?.signal.aborted === true)
  expect(await broker.deadLetters.count()).toBe(0)
  const [pending] = await admin.xpending(`${prefix}:{t}:${n}`, 'g')
  expect(pending).toBe(1)
})

test('connections that are cut while messages are read and settled lose none and keep their order', async () => {
  const broker = await streams({ client: { connectionName: prefix } })
  const { seen, deliver } = collector()
  await broker.subscribe(spec({ prefetch: 5 }), deliver)
  let cuts = 0
  const cut = setInterval(() => {
    void admin.client('LIST').then(async (all) => {
      for (const one of String(all).split('\n')) {
        if (!one.includes(` name=${prefix} `) || cuts >= 10) continue
        cuts++
        await admin.client('KILL', 'ID', Number(/\bid=(\d+)/.exec(one)?.[1]))
      }
    })
  }, 20)
  const sent = batch(400, 'k')
  for (let n = 0; n < 400; n += 20) await broker.publish(sent.slice(n, n + 20)).catch(() => {})
  await until(() => cuts >= 10)
  clearInterval(cut)
  // What was not confirmed may be missing; this one is, after all of it.
  const last = message('last', 'k')
  await broker.publish([{ topic: 't', message: last }])
  await until(() => seen.some((one) => one.message.id === last.id))
  const firsts = [...new Set(seen.map((one) => one.message.body))].filter((body) => body !== 'last').map(Number)
  expect(firsts).toEqual(firsts.toSorted((a, b) => a - b))
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
})

test('a wrong password is told with the setting, and not tried for ever', async () => {
  const broker = new RedisStreamsBroker({ url, client: { password: 'wrong', username: 'nobody' }, logger: silent })
  stops.push(() => broker.stop())
  await expect(broker.start()).rejects.toThrow(/cannot use the Redis server .*WRONGPASS.*password/s)
})

test('Pub/Sub subscribes again when its connection was cut, and counts what nobody hears', async () => {
  const broker = new RedisPubSubBroker({ url, prefix, client: { connectionName: prefix }, logger: silent })
  stops.push(() => broker.stop())
  await broker.start()
  await broker.publish([{ topic: 't', message: message('0') }])
  expect(broker.unheard).toBe(1)
  const { seen, deliver } = collector()
  await broker.subscribe(spec({ broadcast: true }), deliver)
  const clients = String(await admin.client('LIST')).split('\n')
  for (const one of clients.filter((client) => client.includes(` name=${prefix} `))) {
    await admin.client('KILL', 'ID', Number(/\bid=(\d+)/.exec(one)?.[1]))
  }
  await until(async () => {
    await broker.publish([{ topic: 't', message: message('1') }]).catch(() => {})
    return seen.length > 0
  })
})
