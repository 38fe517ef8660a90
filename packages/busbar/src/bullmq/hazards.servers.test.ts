/** The hazards of a queue of jobs under an event bus, over a real Redis. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import type { BullMqBroker } from './index.ts'
import { ack, collector, dead, message, out, repeatedly, spec, until, World } from './fixtures/world.ts'
import { FrozenProxy } from './fixtures/frozen-proxy.ts'

let folder: string
let server: OwnServer
let admin: Redis
const world = new World(() => server.url)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-bullmq-'))
  server = await startServer('redis', { dataDir: folder, durable: true })
  admin = new Redis(server.url)
  admin.on('error', () => {})
})

beforeEach(() => world.begin())
afterEach(() => world.end())

afterAll(async () => {
  admin.disconnect()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

/** The queue as any program with BullMQ sees it. */
function plainQueue(name = 'g@t'): Queue {
  const connection = new Redis(server.url, { maxRetriesPerRequest: null })
  const queue = new Queue(name, { connection, prefix: world.prefix })
  const close = queue.close.bind(queue)
  queue.close = async () => {
    await close()
    connection.disconnect()
  }
  return queue
}

const lagOf = async (broker: BullMqBroker): Promise<number | undefined> =>
  (await broker.metrics()).groups.find(({ group }) => group === 'g')?.lag

test('a retry of one group runs no handler of another again', async () => {
  const broker = await world.broker()
  const failing = collector(({ attempts, redeliveries }) =>
    redeliveries < 3 ? { redeliver: { after: 10, attempts: attempts + 1, firstFailedAt: 1 } } : ack,
  )
  const sound = collector()
  await broker.subscribe(spec({ group: 'failing' }), failing.deliver)
  await broker.subscribe(spec({ group: 'sound' }), sound.deliver)
  await broker.publish(out(message('1')))
  await until(() => failing.seen.length === 4)
  expect(sound.bodies()).toEqual(['1'])
})

test('the type of an event is the name of its job, and it comes out as it went in', async () => {
  const broker = await world.broker()
  const { seen, deliver } = collector()
  await (await broker.subscribe(spec(), deliver)).stop()
  await broker.publish(out(message('{"a":1.0}', { type: 'OrderPlaced', version: 3, kind: 'command' })))
  const queue = plainQueue()
  const [job] = await queue.getJobs(['waiting', 'prioritized'])
  expect(job?.name).toBe('OrderPlaced')
  await queue.close()
  await broker.subscribe(spec(), deliver)
  await until(() => seen.length === 1)
  expect(seen[0]?.message).toMatchObject({ type: 'OrderPlaced', version: 3, kind: 'command', body: '{"a":1.0}' })
})

test('a group that subscribes in another process gets all that is confirmed from then on, whatever publishers knew before', async () => {
  const publisher = await world.broker()
  // The publisher knows the registry as it is without any group.
  await publisher.publish(out(message('before')))
  const missing: string[] = []
  for (let round = 0; round < 30; round++) {
    const other = await world.broker()
    const { bodies, deliver } = collector()
    // All the while it goes on publishing.
    const noise = repeatedly(() => publisher.publish(out(message('noise'))))
    await other.subscribe(spec({ group: `group ${round}` }), deliver)
    const sent = [`a${round}`, `b${round}`]
    await publisher.publish(out(...sent.map((body) => message(body))))
    await noise.stop()
    await until(() => sent.every((body) => bodies().includes(body))).catch(() => missing.push(...sent))
    await other.stop()
  }
  expect(missing).toEqual([])
})

test('a group that comes between the adding of jobs and the look at the registry gets them before they are confirmed', async () => {
  const publisher = await world.broker()
  const other = await world.broker()
  const { bodies, deliver } = collector()
  await publisher.publish(out(message('warm')))
  // What the publisher knows is old from here on; nobody tells it.
  await other.subscribe(spec(), deliver)
  await publisher.publish(out(message('1'), message('2')))
  expect(await lagOf(other)).toBeDefined()
  await until(() => bodies().length === 2)
  expect(bodies().toSorted()).toEqual(['1', '2'])
})

test('the look at the registry comes after all the jobs of a batch, so that no group can come in between unseen', async () => {
  const broker = await world.broker()
  await (await broker.subscribe(spec(), collector().deliver)).stop()
  await broker.publish(out(message('warm')))
  const monitor = await admin.monitor()
  const seen: string[] = []
  monitor.on('monitor', (_time: string, [command = '', ...args]: string[]) => {
    const name = command.toUpperCase()
    if (name === 'GET' && args[0] === `${world.prefix}:registry:version`) seen.push('look')
    if (name === 'EVALSHA' && args.some((arg) => arg.startsWith(world.prefix))) seen.push('job')
  })
  try {
    await broker.publish(out(...Array.from({ length: 35 }, (_, n) => message(String(n)))))
    await until(() => seen.includes('look'))
    expect(seen).toEqual([...Array.from({ length: 35 }, () => 'job'), 'look'])
  } finally {
    monitor.disconnect()
  }
})

test('what is added to the queue of a forgotten group by a publisher that did not know is taken back', async () => {
  const publisher = await world.broker()
  const other = await world.broker()
  await (await other.subscribe(spec(), collector().deliver)).stop()
  await publisher.publish(out(message('1')))
  await other.deleteGroup('g')
  await publisher.publish(out(message('2')))
  const again = collector()
  await other.subscribe(spec(), again.deliver)
  await publisher.publish(out(message('3')))
  await until(() => again.seen.length > 0)
  expect(again.bodies()).toEqual(['3'])
})

test('acked jobs leave nothing behind, and failed ones stay however many there are', async () => {
  const broker = await world.broker()
  const { seen, deliver } = collector((delivery) => (delivery.message.body === 'bad' ? dead(delivery) : ack))
  await broker.subscribe(spec({ prefetch: 100 }), deliver)
  for (let n = 0; n < 30; n++) {
    await broker.publish(out(...Array.from({ length: 50 }, () => message('bad')), message('good')))
  }
  await until(async () => seen.length === 1_530 && (await lagOf(broker)) === 0)
  const queue = plainQueue()
  expect(await queue.getJobCounts('completed', 'failed', 'active', 'wait', 'delayed')).toMatchObject({
    completed: 0,
    failed: 1_500,
    active: 0,
    wait: 0,
    delayed: 0,
  })
  await queue.close()
  expect(await broker.deadLetters.count({ group: 'g' })).toBe(1_500)
  const hashes = await admin.keys(`${world.prefix}:g@t:????????-*`)
  expect(hashes).toHaveLength(1_500)
})

test('BullMQ’s own tools show dead letters with their error, and what they retry comes to the handler', async () => {
  const broker = await world.broker()
  const { seen, deliver } = collector((delivery) => (seen.length === 1 ? dead(delivery) : ack))
  await broker.subscribe(spec(), deliver)
  await broker.publish(out(message('1')))
  await until(async () => (await broker.deadLetters.count()) === 1)
  const queue = plainQueue()
  const [job] = await queue.getFailed()
  expect(job?.failedReason).toBe('failed: TypeError: no')
  expect(job?.stacktrace).toEqual(['TypeError: no\n    at here'])
  await job?.retry()
  await queue.close()
  await until(() => seen.length === 2)
})

test('a letter that was put in is a failed job like any other', async () => {
  const broker = await world.broker()
  const at = Date.now()
  const error = { name: 'E', message: 'x' }
  const failure = { reason: 'failed', error, handler: 'h', attempts: 2, firstFailedAt: at, lastFailedAt: at } as const
  const letter = { group: 'g', topic: 't', position: 'p', message: message('1'), failure, redeliveries: 1 }
  await broker.deadLetters.put(letter)
  const queue = plainQueue()
  const [job] = await queue.getFailed()
  expect(job?.name).toBe('T')
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await job?.retry()
  await queue.close()
  await until(() => seen.length === 1)
})

test('a job that BullMQ itself made fail is listed and redriven', async () => {
  const broker = await world.broker()
  const { seen, deliver } = collector(new Promise(() => undefined))
  const member = await broker.subscribe(spec(), deliver)
  await broker.publish(out(message('1')))
  await until(() => seen.length === 1)
  const queue = plainQueue()
  const [job] = await queue.getActive()
  await job?.moveToFailed(new Error('by hand'), '0', false)
  await queue.close()
  const [letter] = await broker.deadLetters.list({ group: 'g' })
  expect(letter).toMatchObject({ message: { body: '1' }, failure: { error: { message: 'by hand' } } })
  await member.stop({ deadline: 0 })
  const again = collector()
  await broker.subscribe(spec(), again.deliver)
  expect(await broker.deadLetters.redrive({ group: 'g' })).toBe(1)
  await until(() => again.seen.length === 1)
})

test('a delayed job is not slept over: neither by one that waits for a later one, nor by one that waits for nothing', async () => {
  const broker = await world.broker()
  const came: [string, number][] = []
  await broker.subscribe(spec(), ({ message: { body } }) => {
    came.push([body as string, Date.now()])
    return ack
  })
  const now = Date.now()
  const later = (after: number) => [{ topic: 't', message: message(String(after)), deliverAt: now + after }]
  await broker.publish(later(60_000))
  await broker.publish(later(900))
  await broker.publish(later(300))
  await until(() => came.length === 2)
  expect(came.map(([body]) => body)).toEqual(['300', '900'])
  for (const [body, at] of came) expect(at - now).toBeGreaterThanOrEqual(Number(body))
})

test('a high priority passes a backlog in the broker, beyond what is in memory', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await (await broker.subscribe(spec(), deliver)).stop()
  await broker.publish(out(...Array.from({ length: 200 }, (_, n) => message(String(n)))))
  await broker.publish(out(message('low', { priority: 'low' }), message('high', { priority: 'high' })))
  await broker.publish(out(message('critical', { priority: 'critical' })))
  await broker.subscribe(spec({ prefetch: 1 }), deliver)
  await until(() => bodies().length === 203)
  expect(bodies().slice(0, 3)).toEqual(['critical', 'high', '0'])
  expect(bodies().at(-1)).toBe('low')
})

test('a low priority does not starve behind a line of higher ones that never ends', async () => {
  const broker = await world.broker({ ageing: 100, lease: 300 })
  const seen: string[] = []
  const slow = async ({ message: { body } }: { message: { body: unknown } }) => {
    seen.push(body as string)
    await new Promise((resolve) => setTimeout(resolve, 5))
    return ack
  }
  await (await broker.subscribe(spec(), slow)).stop()
  await broker.publish(out(message('low', { priority: 'low' })))
  // Always more of it than can be handled.
  const flood = repeatedly(async () => {
    await broker.publish(out(...Array.from({ length: 20 }, () => message('high', { priority: 'high' }))))
    await until(async () => ((await lagOf(broker)) ?? 0) < 200)
  })
  await broker.publish(out(...Array.from({ length: 100 }, () => message('high', { priority: 'high' }))))
  await broker.subscribe(spec({ prefetch: 1 }), slow)
  await until(() => seen.includes('low'))
  expect(await lagOf(broker)).toBeGreaterThan(0)
  await flood.stop()
})

test('foreign garbage goes to the dead letters as raw bytes, and the consumer goes on', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const queue = plainQueue()
  await queue.add('hello', { some: 'thing' })
  await queue.add('null', null)
  await queue.close()
  await broker.publish(out(message('good')))
  await until(() => bodies().includes('good'))
  await until(async () => (await broker.deadLetters.count({ group: 'g', reason: 'undecodable' })) === 2)
  const letters = await broker.deadLetters.list({ group: 'g' })
  const raw = letters.map(({ message: { body } }) => Buffer.from(body as Uint8Array).toString())
  expect(raw.toSorted()).toEqual(['null', '{"some":"thing"}'])
})

test('a CloudEvents event that a plain BullMQ program adds reaches the handler', async () => {
  const broker = await world.broker()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const queue = plainQueue()
  const data = { specversion: '1.0', id: 'x', type: 'OrderPlaced', source: '/shop', data: { n: 1 } }
  await queue.add('OrderPlaced', data)
  await queue.close()
  await until(() => seen.length === 1)
  expect(seen[0]?.message).toMatchObject({ id: 'x', type: 'OrderPlaced', body: '{"n":1}' })
})

test('nothing is left of a broadcast that ended, nor of one whose process died', async () => {
  const broker = await world.broker({ lease: 300 })
  const own = () => admin.keys(`${world.prefix}:~*`)
  const noise = repeatedly(() => broker.publish(out(message('noise'))))
  for (let round = 0; round < 10; round++) {
    const { seen, deliver } = collector()
    const member = await broker.subscribe(spec({ group: 'all', broadcast: true }), deliver)
    await until(() => seen.length > 0)
    expect((await own()).length).toBeGreaterThan(0)
    await member.stop()
  }
  await noise.stop()
  expect(await own()).toEqual([])
  // One that never gave a sign of life after it came.
  const entry = JSON.stringify({ group: '~dead', topic: 't', temporary: true })
  await admin.hset(`${world.prefix}:registry`, '~dead@t', entry)
  await admin.incr(`${world.prefix}:registry:version`)
  await broker.publish(out(message('2')))
  await until(async () => (await own()).length === 0)
  expect(await admin.hgetall(`${world.prefix}:registry`)).toEqual({})
})

test('a connection that is half open is noticed, and messages come over another', async () => {
  const proxy = await FrozenProxy.to(server.url)
  const broker = await world.broker({ url: proxy.url, lease: 500, client: { socketTimeout: 500 } })
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const publisher = await world.broker()
  await publisher.publish(out(message('1')))
  await until(() => bodies().includes('1'))
  proxy.freeze()
  await publisher.publish(out(message('2')))
  await until(() => bodies().includes('2'))
  expect(new Set(bodies())).toEqual(new Set(['1', '2']))
  await broker.stop({ deadline: 500 })
  await proxy.close()
})

test('server killed with -9: nothing confirmed is lost, and everything goes on by itself', async () => {
  const broker = await world.broker({ lease: 1_000 })
  const { seen, bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const confirmed: string[] = []
  const publish = async (body: string): Promise<void> => {
    await broker.publish(out(message(body))).then(
      () => confirmed.push(body),
      () => undefined,
    )
  }
  for (let n = 0; n < 50; n++) await publish(`a${n}`)
  await server.kill9()
  const during = Promise.all(Array.from({ length: 10 }, (_, n) => publish(`during${n}`)))
  await server.restart()
  await during
  for (let n = 0; n < 50; n++) await publish(`b${n}`)
  expect(confirmed).toHaveLength(110)
  await until(() => new Set(bodies()).size === 110)
  await until(async () => (await lagOf(broker)) === 0)
  expect(seen.length).toBeGreaterThanOrEqual(110)
})

test('verify names what on the server breaks a promise: eviction, no file, a paused or limited queue', async () => {
  const broker = await world.broker()
  await broker.subscribe(spec(), collector().deliver)
  expect(await broker.verify()).toEqual([])
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await admin.config('SET', 'appendonly', 'no')
  const queue = plainQueue()
  await queue.pause()
  await queue.setGlobalConcurrency(3)
  await queue.close()
  const told = (await broker.verify()).map(({ where, setting, expected, actual }) => [where, setting, expected, actual])
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  await admin.config('SET', 'appendonly', 'yes')
  expect(told).toEqual([
    ['server', 'maxmemory-policy', 'noeviction', 'allkeys-lru'],
    ['server', 'appendonly', 'yes', 'no'],
    // Made by a BullMQ of its own, with its own default.
    ['g@t', 'maxLenEvents', '1000', '10000'],
    ['g@t', 'paused', 'no', 'yes'],
    ['g@t', 'concurrency', 'none', '3'],
  ])
})
