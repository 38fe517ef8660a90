/** The hazards of RabbitMQ, over a server of this file's own. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Delivery, Verdict } from '../broker/index.ts'
import { message, order, orders, patience, silent, spec, started } from './fixtures/messages.ts'
import { type OwnRabbit, plainChannel, startProxy, startRabbit } from './fixtures/servers.ts'

let server: OwnRabbit

beforeAll(async () => {
  server = await startRabbit()
}, 180_000)

afterAll(() => server.end(), 60_000)

/** Remembers the ids and acks. */
function keeping(seen: string[]): (delivery: Delivery) => Verdict {
  return ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  }
}

const again = ({ attempts }: Delivery, after: number): Verdict => {
  return { redeliver: { after, attempts: attempts + 1, firstFailedAt: Date.now() } }
}

test('requeue hot loop: what is given back is never requeued, so the server hands it out once each time', async () => {
  const prefix = 'hot'
  const broker = await started({ url: server.url, prefix })
  const seen: Delivery[] = []
  await broker.subscribe(spec(), (delivery) => {
    seen.push(delivery)
    return seen.length < 4 ? again(delivery, 50) : { ack: true }
  })
  await broker.publish([order('one')])
  await vi.waitFor(() => expect(seen).toHaveLength(4), patience)
  expect(seen.map(({ attempts, redeliveries, crashes }) => [attempts, redeliveries, crashes])).toEqual([
    [0, 0, 0],
    [1, 1, 0],
    [2, 2, 0],
    [3, 3, 0],
  ])
  const channel = await plainChannel(server.url)
  for (let n = 0; n < 8; n++)
    expect(await channel.checkQueue(`${prefix}:orders:g:${n}`)).toMatchObject({ messageCount: 0 })
})

test('a released message is handed out again from memory with a pause, and keeps its place', async () => {
  const broker = await started({ url: server.url, prefix: 'release' })
  const seen: string[] = []
  let releases = 0
  const begin = performance.now()
  await broker.subscribe(spec({ prefetch: 1 }), ({ message: { id } }) => {
    if (id === 'a0' && releases < 5) {
      releases++
      return { release: true }
    }
    seen.push(id)
    return { ack: true }
  })
  await broker.publish(orders(10))
  await vi.waitFor(() => expect(seen).toHaveLength(10), patience)
  expect(seen).toEqual(orders(10).map((one) => one.message.id))
  expect(performance.now() - begin).toBeGreaterThan(5 * 20)
})

test('a message that is on its way to a member when that leaves was not begun, and is not counted', async () => {
  const prefix = 'leaves'
  const proxy = await startProxy(server.url)
  const [near, far] = await Promise.all([started({ url: server.url, prefix }), started({ url: proxy.url, prefix })])
  const seen = new Map<string, { attempts: number; crashes: number }>()
  const see = ({ message: { id }, attempts, crashes }: Delivery): Verdict => {
    seen.set(id, { attempts, crashes })
    return { ack: true }
  }
  const leaver = await far.subscribe(spec(), see)
  await near.publish([order('first')])
  await vi.waitFor(() => expect(seen.size).toBe(1), patience)
  proxy.lag(50)
  await near.publish(Array.from({ length: 20 }, (_, n) => order(`${n}`, { key: `k${n}` })))
  await leaver.stop()
  expect([...seen.keys()]).toEqual(['first'])
  await near.subscribe(spec(), see)
  await vi.waitFor(() => expect(seen.size).toBe(21), patience)
  expect([...seen].filter(([, { attempts, crashes }]) => attempts + crashes > 0)).toEqual([])
})

test('consumer cancel: a queue that is deleted is made again, and the group goes on', async () => {
  const broker = await started({ url: server.url, prefix: 'cancel' })
  const seen: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  await broker.publish([order('before')])
  await vi.waitFor(() => expect(seen).toEqual(['before']), patience)
  const channel = await plainChannel(server.url)
  for (let n = 0; n < 8; n++) await channel.deleteQueue(`cancel:orders:g:${n}`)
  // What is published before the queue is there again is for nobody; so until the first one comes.
  await vi.waitFor(async () => {
    await broker.publish([order('after')])
    expect(seen).toContain('after')
  }, patience)
})

test('reconnect: consumers begin again, and exchanges that are gone are declared again', async () => {
  const proxy = await startProxy(server.url)
  const broker = await started({ url: proxy.url, prefix: 'reconnect' })
  const seen: string[] = []
  const everywhere: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  await broker.subscribe(spec({ group: 'all', broadcast: true }), keeping(everywhere))
  await broker.publish(orders(20))
  await vi.waitFor(() => expect(seen).toHaveLength(20), patience)
  proxy.cut()
  const during = broker.publish(orders(20, 'b'))
  const channel = await plainChannel(server.url)
  await channel.deleteExchange('reconnect:orders')
  await channel.deleteQueue('reconnect:orders:g:0')
  proxy.pass()
  await during.catch(() => {})
  await vi.waitFor(async () => {
    await broker.publish([order('last')])
    expect(seen).toContain('last')
    expect(everywhere).toContain('last')
  }, patience)
})

test('a connection that is cut while it publishes: everything is confirmed in the end, nothing is lost, and order holds', async () => {
  const proxy = await startProxy(server.url)
  const broker = await started({ url: proxy.url, prefix: 'cut' })
  const seen: string[] = []
  await broker.subscribe(spec({ prefetch: 50 }), keeping(seen))
  const sent = orders(3_000)
  const publishing = Promise.all(sent.map((one) => broker.publish([one])))
  for (let cuts = 1; cuts <= 3; cuts++) {
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(cuts * 20), patience)
    proxy.cut()
    proxy.pass()
  }
  await publishing
  await vi.waitFor(() => expect(new Set(seen).size).toBe(sent.length), patience)
  expect([...new Set(seen)]).toEqual(sent.map((one) => one.message.id))
})

test('server killed with -9: nothing confirmed is lost, order holds, and everything goes on by itself', async () => {
  const broker = await started({ url: server.url, prefix: 'killed' })
  const seen: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  for (const one of orders(30)) await broker.publish([one])
  const later = Date.now() + 3_000
  await broker.publish([{ ...order('later', { key: 'other' }), deliverAt: later }])
  await server.kill9()
  const during = broker.publish(orders(10, 'b'))
  await server.restart()
  const confirmed = await during.then(
    () => orders(10, 'b'),
    () => [],
  )
  await vi.waitFor(() => broker.publish(orders(10, 'c')), patience)
  const ids = [...orders(30), ...confirmed, ...orders(10, 'c')].map((one) => one.message.id)
  await vi.waitFor(() => expect(new Set(seen)).toEqual(new Set([...ids, 'later'])), patience)
  expect([...new Set(seen)].filter((id) => id !== 'later')).toEqual(ids)
}, 240_000)

test('flow control: while the server takes no messages publishes wait, and acks go on', async () => {
  const warnings: string[] = []
  const logger = { ...silent, warn: (_: object, text: string) => void warnings.push(text) }
  const broker = await started({ url: server.url, prefix: 'blocked', logger })
  const seen: string[] = []
  const gate = Promise.withResolvers<void>()
  await broker.subscribe(spec({ prefetch: 5 }), async ({ message: { id } }) => {
    await gate.promise
    seen.push(id)
    return { ack: true }
  })
  await broker.publish(orders(40))
  await server.ctl('set_vm_memory_high_watermark', '0')
  let confirmed = false
  const publishing = broker.publish([order('late')]).then(() => (confirmed = true))
  await vi.waitFor(() => expect(warnings.join()).toMatch(/alarm for memory or disk/), patience)
  gate.resolve()
  await vi.waitFor(() => expect(seen).toHaveLength(40), patience)
  expect(confirmed).toBe(false)
  await server.ctl('set_vm_memory_high_watermark', '0.6')
  await publishing
  await vi.waitFor(() => expect(seen.at(-1)).toBe('late'), patience)
})

test('a publish that waits too long for a server that takes nothing says why, and that nothing was sent', async () => {
  const warnings: string[] = []
  const logger = { ...silent, warn: (_: object, text: string) => void warnings.push(text) }
  const broker = await started({ url: server.url, prefix: 'patience', connectTimeout: 1_500, logger })
  await broker.publish([order('one')])
  await server.ctl('set_vm_memory_high_watermark', '0')
  try {
    // The first one is on its way when the server says that it takes nothing: it waits for its confirmation.
    const warned = vi.waitFor(() => expect(warnings.join()).toMatch(/alarm for memory or disk/), patience)
    const probe = broker.publish([order('probe')])
    await warned
    const late = broker.publish([order('two')])
    await expect(late).rejects.toThrow(/takes no messages.*'connectTimeout'.*nothing was sent/)
    await server.ctl('set_vm_memory_high_watermark', '0.6')
    await probe
  } finally {
    await server.ctl('set_vm_memory_high_watermark', '0.6')
  }
  await vi.waitFor(() => broker.publish([order('three')]), patience)
})

test('a flood of publishes waits for the socket to drain, and arrives in order', async () => {
  const broker = await started({ url: server.url, prefix: 'flood' })
  const seen: string[] = []
  await broker.subscribe(spec({ prefetch: 200 }), keeping(seen))
  const body = JSON.stringify('x'.repeat(4_000))
  const sent = Array.from({ length: 5_000 }, (_, n) => order(String(n), { body }))
  await Promise.all([broker.publish(sent.slice(0, 2_500)), broker.publish(sent.slice(2_500))])
  await vi.waitFor(() => expect(seen).toHaveLength(sent.length), patience)
  expect(seen).toEqual(sent.map((one) => one.message.id))
})

test('large prefetch and memory: what a member has in memory is bounded, whatever waits', async () => {
  const broker = await started({ url: server.url, prefix: 'memory' })
  const member = await broker.subscribe(spec({ prefetch: 400 }), () => new Promise<Verdict>(() => {}))
  const sent = Array.from({ length: 4_000 }, (_, n) => order(String(n), { key: `k${n}` }))
  await broker.publish(sent)
  const channel = await plainChannel(server.url)
  const ready = async (): Promise<number> => {
    let count = 0
    for (let n = 0; n < 8; n++) count += (await channel.checkQueue(`memory:orders:g:${n}`)).messageCount
    return count
  }
  await vi.waitFor(async () => {
    const { groups } = await broker.metrics()
    expect(groups).toMatchObject([{ group: 'g', inFlight: 400, lag: 4_000 }])
  }, patience)
  // Twice the prefetch over all partitions.
  expect(await ready()).toBeGreaterThanOrEqual(4_000 - 2 * 400)
  await member.stop({ deadline: 0 })
})

test('published before there is a group: confirmed, kept for nobody, and told once', async () => {
  const warnings: object[] = []
  const logger = { ...silent, warn: (fields: object) => void warnings.push(fields) }
  const broker = await started({ url: server.url, prefix: 'nobody', logger })
  await broker.publish([order('one')])
  await broker.publish([order('two')])
  expect(warnings).toEqual([{ topic: 'orders', type: 'T' }])
  const seen: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  await broker.publish([order('three')])
  await vi.waitFor(() => expect(seen).toEqual(['three']), patience)
  await expect(broker.publish([{ ...order('four'), group: 'unknown' }])).rejects.toThrow(/no group unknown/)
})

test('head-of-line blocking: a short delay does not wait behind a long one', async () => {
  const broker = await started({ url: server.url, prefix: 'delays' })
  const seen: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  const now = Date.now()
  const delayed = [60_000, 1_500, 500, 1_000].map((ms) => ({
    ...order(String(ms), { key: String(ms) }),
    deliverAt: now + ms,
  }))
  for (const one of delayed) await broker.publish([one])
  await vi.waitFor(() => expect(seen).toEqual(['500', '1000', '1500']), patience)
  const { topics } = await broker.metrics()
  expect(topics).toMatchObject([{ topic: 'orders', delayed: 1 }])
})

test('dead letters are seen by several at once, in several processes, and looking changes nothing', async () => {
  const options = { url: server.url, prefix: 'letters' }
  const brokers = await Promise.all([started(options), started(options), started(options)])
  const [broker] = brokers
  await broker?.subscribe(spec(), (delivery) => {
    const error = { name: 'Error', message: 'no' }
    const now = Date.now()
    const { attempts } = delivery
    return { deadLetter: { reason: 'failed', error, handler: 'h', attempts, firstFailedAt: now, lastFailedAt: now } }
  })
  await broker?.publish(orders(25))
  const everyone = brokers.map(({ deadLetters }) => deadLetters)
  await vi.waitFor(async () => expect(await broker?.deadLetters.count({ group: 'g' })).toBe(25), patience)
  const ids = orders(25).map((one) => one.message.id)
  for (let round = 0; round < 3; round++) {
    const lists = await Promise.all(everyone.map((letters) => letters.list()))
    for (const list of lists) expect(list.map((letter) => letter.message.id)).toEqual(ids)
  }
  const redriven = await Promise.all(everyone.map((letters) => letters.discard({ group: 'g' })))
  expect(redriven.reduce((sum, count) => sum + count, 0)).toBe(25)
})

test('a topic keeps the number of partitions that it was made with', async () => {
  const [first, second] = [
    await started({ url: server.url, prefix: 'partitions', partitions: 3 }),
    await started({ url: server.url, prefix: 'partitions', partitions: 5 }),
  ]
  await first.publish([order('before')])
  const seen: string[] = []
  await second.subscribe(spec(), keeping(seen))
  const sent = Array.from({ length: 30 }, (_, n) => order(String(n), { key: `k${n}` }))
  await first.publish(sent)
  await second.publish([order('own', { key: 'k7' })])
  await vi.waitFor(() => expect(seen).toHaveLength(31), patience)
  expect((await second.verify()).map(({ name, setting, expected, found }) => [name, setting, expected, found])).toEqual(
    [['partitions:orders::partitions', 'x-max-length', 5, '3']],
  )
})

test('foreign garbage goes to the dead letters as raw bytes, whatever its routing key, and the consumer goes on', async () => {
  const broker = await started({ url: server.url, prefix: 'garbage' })
  const seen: string[] = []
  await broker.subscribe(spec(), keeping(seen))
  const channel = await plainChannel(server.url)
  const bytes = Buffer.from([0, 255, 1, 254])
  channel.publish('garbage:orders', 'any.key', bytes)
  channel.publish('garbage:orders', '3', Buffer.from('{"n":'), { contentType: 'application/cloudevents+json' })
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'g' })).toBe(2), patience)
  await broker.publish([order('good')])
  await vi.waitFor(() => expect(seen).toEqual(['good']), patience)
  const letters = await broker.deadLetters.list({ reason: 'undecodable' })
  const bodies = letters.map((letter) => Buffer.from(letter.message.body as Uint8Array).toString('latin1'))
  expect(bodies.toSorted()).toEqual([bytes.toString('latin1'), '{"n":'].toSorted())
})

test('names that AMQP or our own separators would mix up are kept apart', async () => {
  const broker = await started({ url: server.url, prefix: 'names' })
  const topics = ['a', 'a:b', 'a b', 'ä/ö', '%']
  const seen = new Map<string, string[]>()
  for (const topic of topics) {
    const ids: string[] = []
    seen.set(topic, ids)
    await broker.subscribe(spec({ topics: [topic], group: `g:${topic}` }), keeping(ids))
  }
  await broker.publish(topics.map((topic) => ({ topic, message: message(topic) })))
  for (const topic of topics) await vi.waitFor(() => expect(seen.get(topic)).toEqual([topic]), patience)
  const long = { topic: 'x'.repeat(300), message: message('long') }
  await expect(broker.publish([long])).rejects.toThrow(/255 bytes/)
})
