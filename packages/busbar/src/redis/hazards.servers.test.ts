import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Deliver, PublishError, type Verdict } from '../broker/index.ts'
import { ack, batch, collector, message, Scene, silent, spec, until } from './fixtures/brokers.ts'
import { startProxy } from './fixtures/proxy.ts'
import { RedisPubSubBroker } from './index.ts'
import { publishOnChannels } from './scripts/channels.ts'

let scene: Scene

beforeEach(() => {
  scene = new Scene(process.env['BUSBAR_REDIS_URL'])
})

afterEach(() => scene.end())

test('retention never trims what a group has not settled, and trims it then', async () => {
  const broker = await scene.streams({ retention: { maxAge: 0 } })
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
  const broker = await scene.streams()
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
  const broker = await scene.streams()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const stream = `${scene.prefix}:{t}:0`
  await scene.admin.xadd(stream, '*', 'hello', 'world')
  const event = ['specversion', '1.0', 'id', 'x', 'type', 'T', 'source', '/s', 'data', '{"n":1}']
  await scene.admin.xadd(stream, '*', ...event)
  await until(() => seen.length === 1)
  expect(seen[0]?.message).toMatchObject({ id: 'x', type: 'T', body: '{"n":1}' })
  await until(async () => (await broker.deadLetters.count({ group: 'g' })) === 1)
  const [letter] = await broker.deadLetters.list({ group: 'g' })
  expect(letter?.failure).toMatchObject({ reason: 'undecodable', error: { name: 'DecodeError' } })
  expect(letter?.message.body).toBe('{"hello":"world"}')
})

test('a verdict of a member whose token is not the latest changes nothing', async () => {
  const broker = await scene.streams()
  const gate = Promise.withResolvers<Verdict>()
  const { seen, deliver } = collector(gate.promise)
  await broker.subscribe(spec(), deliver)
  await broker.publish(batch(1, 'k'))
  await until(() => seen.length === 1)
  const group = `${scene.prefix}:{t}:g:g`
  const n = seen[0]?.position.split('@')[0] ?? ''
  const token = await scene.admin.hget(group, `t:${n}`)
  // As if somebody else had taken the partition.
  await scene.admin.hincrby(group, `t:${n}`, 1)
  await scene.admin.hset(group, `o:${n}`, 'another')
  const failure = { reason: 'failed', error: { name: 'E', message: 'x' }, handler: 'h', attempts: 1 } as const
  gate.resolve({ deadLetter: { ...failure, firstFailedAt: 1, lastFailedAt: 1 } })
  await until(() => seen[0]?.signal.aborted === true)
  expect(await broker.deadLetters.count()).toBe(0)
  const [pending] = await scene.admin.xpending(`${scene.prefix}:{t}:${n}`, `g@${token}`)
  expect(pending).toBe(1)
})

test('connections that are cut while messages are read and settled lose none and keep their order', async () => {
  const broker = await scene.streams({ client: { connectionName: scene.prefix } })
  const { seen, deliver } = collector()
  await broker.subscribe(spec({ prefetch: 5 }), deliver)
  let cuts = 0
  const cut = setInterval(() => void (cuts < 10 && scene.cut(scene.prefix).then((count) => (cuts += count))), 20)
  const sent = batch(400, 'k')
  for (let n = 0; n < 400; n += 20) await broker.publish(sent.slice(n, n + 20))
  await until(() => cuts >= 10)
  clearInterval(cut)
  // After all of it.
  const last = message('last', 'k')
  await broker.publish([{ topic: 't', message: last }])
  await until(() => seen.some((one) => one.message.id === last.id))
  const firsts = [...new Set(seen.map((one) => one.message.id))]
  expect(firsts).toEqual([...sent.map((one) => one.message.id), last.id])
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
})

test('a takeover goes on after a page of open entries, also over entries that were deleted', async () => {
  const dead = await scene.streams({ partitions: 1, lease: 300 })
  const { seen, deliver } = collector(new Promise(() => {}))
  await dead.subscribe(spec({ prefetch: 2_500 }), deliver)
  const sent = batch(2_500)
  await dead.publish(sent)
  await until(() => seen.length === 2_500)
  // More than a page of what is open is gone from the stream.
  const stream = `${scene.prefix}:{t}:0`
  const gone = new Set(seen.slice(0, 1_200).map(({ message: { id } }) => id))
  await scene.admin.xdel(stream, ...seen.slice(0, 1_200).map(({ position }) => position.slice(2)))
  // As if it had died: no sign of life any more, and the lease is over.
  await scene.admin.hset(`${scene.prefix}:{t}:g:g`, 'o:0', 'somebody', 'e:0', 0)
  const heir = await scene.streams({ partitions: 1, lease: 300 })
  const taken = collector()
  await heir.subscribe(spec({ prefetch: 2_500 }), taken.deliver)
  const expected = sent.map((one) => one.message.id).filter((id) => !gone.has(id))
  const ids = (): Set<string> => new Set([...seen.slice(2_500), ...taken.seen].map((one) => one.message.id))
  await until(() => ids().size === expected.length)
  expect(ids()).toEqual(new Set(expected))
})

test('a handler that takes far longer than the lease keeps its message, because the lease has a heartbeat', async () => {
  const [first, second] = [await scene.streams({ lease: 200 }), await scene.streams({ lease: 200 })]
  const gate = Promise.withResolvers<Verdict>()
  const slow = collector(gate.promise)
  await first.subscribe(spec(), slow.deliver)
  await first.publish(batch(1, 'k'))
  await until(() => slow.seen.length === 1)
  const { seen, deliver } = collector()
  await second.subscribe(spec(), deliver)
  // Many leases later, by what the server says and not by the clock of this test.
  const group = `${scene.prefix}:{t}:g:g`
  const n = slow.seen[0]?.position.split('@')[0] ?? ''
  const renewed = async (): Promise<number> => Number(await scene.admin.hget(group, `e:${n}`))
  const begin = await renewed()
  await until(async () => (await renewed()) > begin + 2_000)
  expect(seen).toEqual([])
  expect(slow.seen[0]?.lapsed).toBe(false)
  gate.resolve(ack)
  await until(async () => (await first.metrics()).groups[0]?.lag === 0)
  expect(slow.seen).toHaveLength(1)
})

test('a blocking read holds up nothing: it has a connection of its own', async () => {
  const broker = await scene.streams({ client: { connectionName: scene.prefix } })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const blocked = async (): Promise<string[]> => {
    const clients = String(await scene.admin.client('LIST')).split('\n')
    return clients.filter((one) => one.includes(` name=${scene.prefix} `) && one.includes('flags=b'))
  }
  await until(async () => (await blocked()).length === 1)
  await broker.publish(batch(3))
  await until(() => seen.length === 3)
  await until(async () => (await blocked()).length === 1)
  expect(new Set(seen.map((one) => one.message.body))).toEqual(new Set(['0', '1', '2']))
})

test('what another process publishes is heard of, and heard of again after the connection was cut', async () => {
  const name = `${scene.prefix}-listener`
  const listener = await scene.streams({ client: { connectionName: name } })
  const { seen, deliver } = collector()
  await listener.subscribe(spec(), deliver)
  const other = await scene.streams()
  for (let n = 0; n < 10; n++) {
    await other.publish(batch(1, 'k', n))
    if (n % 3 === 0) await scene.cut(name)
    await until(() => seen.some((one) => one.message.body === String(n)))
  }
  expect([...new Set(seen.map((one) => one.message.body))]).toEqual(Array.from({ length: 10 }, (_, n) => String(n)))
})

test('handlers that take their time have messages of many partitions at once', async () => {
  const broker = await scene.streams({ partitions: 8 })
  const gate = Promise.withResolvers<Verdict>()
  const { seen, deliver } = collector(gate.promise)
  await broker.publish(Array.from({ length: 400 }, (_, n) => ({ topic: 't', message: message('', `k${n}`) })))
  await broker.subscribe(spec({ prefetch: 100, from: 'earliest' }), deliver)
  await until(() => seen.length === 100)
  expect(new Set(seen.map(({ position }) => position.split('@')[0])).size).toBeGreaterThanOrEqual(4)
  gate.resolve(ack)
  await until(() => seen.length === 400)
})

describe('a publish whose answer was lost with its connection', () => {
  test('is sent again, is confirmed, and is there once, in the order of the calls', async () => {
    const proxy = await startProxy(scene.url)
    scene.atEnd(() => proxy.close())
    const broker = await scene.streams({ url: proxy.url, partitions: 1 })
    await broker.publish([{ topic: 't', message: message('first', 'k') }])
    const sent = batch(60, 'k')
    proxy.loseAnswersTo('EVALSHA', 3)
    await Promise.all([0, 20, 40].map((from) => broker.publish(sent.slice(from, from + 20))))
    expect(proxy.lost).toBe(3)
    const stored = await scene.admin.xrange(`${scene.prefix}:{t}:0`, '-', '+')
    const bodies = stored.map(([, fields]) => fields.at(-1))
    expect(bodies).toEqual(['first', ...sent.map((one) => one.message.body)])
  })

  test('with bytes and delays among it is there once, too', async () => {
    const proxy = await startProxy(scene.url)
    scene.atEnd(() => proxy.close())
    const broker = await scene.streams({ url: proxy.url, partitions: 1 })
    await broker.publish([{ topic: 't', message: message('first') }])
    const deliverAt = Date.now() + 60_000
    await broker.publish([{ topic: 't', message: message('delayed first'), deliverAt }])
    proxy.loseAnswersTo('later', 1)
    await broker.publish([
      { topic: 't', message: message(Uint8Array.of(0, 255)) },
      { topic: 't', message: message('later'), deliverAt },
    ])
    expect(proxy.lost).toBe(1)
    expect(await scene.admin.xlen(`${scene.prefix}:{t}:0`)).toBe(2)
    expect(await scene.admin.zcard(`${scene.prefix}:{t}:delayed`)).toBe(2)
  })

  test('tells again which of its messages could not be stored', async () => {
    const proxy = await startProxy(scene.url)
    scene.atEnd(() => proxy.close())
    const broker = await scene.streams({ url: proxy.url, partitions: 2 })
    await broker.publish([{ topic: 't', message: message('first') }])
    // A partition that is no stream takes nothing.
    await scene.admin.del(`${scene.prefix}:{t}:1`)
    await scene.admin.set(`${scene.prefix}:{t}:1`, 'no stream')
    proxy.loseAnswersTo('EVALSHA', 1)
    const sent = batch(4)
    const failure = await broker.publish(sent).catch((error: unknown) => error as PublishError)
    expect(proxy.lost).toBe(1)
    expect(failure).toBeInstanceOf(PublishError)
    const ids = new Set((failure as PublishError).failed.map((one) => one.id))
    expect((failure as PublishError).message).toMatch(/2 of 4 .*WRONGTYPE/)
    const stored = await scene.admin.xrange(`${scene.prefix}:{t}:0`, '-', '+')
    const bodies = new Set(stored.map(([, fields]) => fields.at(-1)))
    for (const { message: one } of sent) expect(bodies.has(one.body as string)).toBe(!ids.has(one.id))
  })

  test('of one message is there once, and handed out, also where it is refused the first time', async () => {
    const proxy = await startProxy(scene.url)
    scene.atEnd(() => proxy.close())
    const broker = await scene.streams({ url: proxy.url, partitions: 1 })
    const { seen, deliver } = collector()
    await broker.subscribe(spec(), deliver)
    for (let n = 0; n < 5; n++) {
      proxy.loseAnswersTo('EVALSHA', 1)
      await broker.publish(batch(1, 'k', n))
      await until(() => seen.some((one) => one.message.body === String(n)))
    }
    expect(await scene.admin.xlen(`${scene.prefix}:{t}:0`)).toBe(5)
    const firsts = [...new Set(seen.map((one) => one.message.body))]
    expect(firsts).toEqual(['0', '1', '2', '3', '4'])
    await scene.admin.del(`${scene.prefix}:{t}:0`)
    await scene.admin.set(`${scene.prefix}:{t}:0`, 'no stream')
    await expect(broker.publish(batch(1, 'k'))).rejects.toThrow(/WRONGTYPE/)
  })

  test('survives scripts that the server has forgotten', async () => {
    const broker = await scene.streams()
    await broker.publish(batch(2))
    await scene.admin.script('FLUSH')
    await broker.publish(batch(2))
    expect((await broker.metrics()).topics[0]?.depth).toBe(4)
  })
})

test('Pub/Sub subscribes again when its connection was cut, and counts what nobody hears', async () => {
  const { url, prefix } = scene
  const broker = new RedisPubSubBroker({ url, prefix, client: { connectionName: prefix }, logger: silent })
  scene.atEnd(() => broker.stop())
  await broker.start()
  await broker.publish([{ topic: 't', message: message('0') }])
  expect(broker.unheard).toBe(1)
  const { seen, deliver } = collector()
  await broker.subscribe(spec({ broadcast: true }), deliver)
  await scene.cut(prefix)
  await until(async () => {
    await broker.publish([{ topic: 't', message: message('1') }]).catch(() => {})
    return seen.length > 0
  })
})

test('a batch of messages that have little in common is stored as each of them is', async () => {
  const broker = await scene.streams({ partitions: 1 })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const plain = batch(40).map((one, n) => {
    const bytes = Uint8Array.of(0xff, n, 0x0d, 0x0a)
    const body = n % 5 === 4 ? bytes : one.message.body
    const metadata = n % 3 === 0 ? { ...one.message.metadata, [`own${n % 2}`]: `ü${n}` } : one.message.metadata
    const subject = n % 4 === 0 ? `s${n}` : undefined
    return { ...one, message: { ...one.message, subject, type: `T${n % 2}`, key: 'k', metadata, body } }
  })
  const delayed = batch(3, 'k', 100).map((one) => ({ ...one, deliverAt: Date.now() + 300 }))
  await broker.publish([...plain.slice(0, 20), ...delayed, ...plain.slice(20)])
  await until(() => seen.length === 43)
  const sent = [...plain, ...delayed].map((one) => one.message)
  for (const [at, { message: got }] of seen.entries()) {
    const { body, ...rest } = sent[at] as (typeof sent)[number]
    expect(got).toMatchObject(rest)
    expect(got.body).toEqual(body)
  }
})

describe('a batch over Pub/Sub', () => {
  const pubSub = async (as: object = {}): Promise<RedisPubSubBroker> => {
    const { url, prefix } = scene
    const broker = new RedisPubSubBroker({ url, prefix, logger: silent, ...as })
    scene.atEnd(() => broker.stop())
    await broker.start()
    return broker
  }
  const user = async (...rules: readonly string[]): Promise<object> => {
    const username = `${scene.prefix}-user`
    await scene.admin.call('ACL', 'SETUSER', username, 'on', '>secret', 'resetchannels', ...rules)
    scene.atEnd(async () => void (await scene.admin.call('ACL', 'DELUSER', username)))
    return { username, password: 'secret' }
  }

  test.each(['text', 'bytes'])(
    'of %s comes whole and in order to each topic, and what nobody hears is counted',
    async (what) => {
      const broker = await pubSub()
      const { seen, deliver } = collector()
      await broker.subscribe(spec({ broadcast: true, topics: ['t', 'u'], prefetch: 5_000 }), deliver)
      const sent = batch(2_500).map((one, n) => {
        const body = what === 'bytes' && n % 2 === 0 ? Uint8Array.of(0xff, n % 256, 10) : `ü\n${n}`
        return { topic: ['t', 't', 'u', 'nobody'][n % 4] as string, message: { ...one.message, body } }
      })
      await broker.publish(sent)
      const heard = sent.filter(({ topic }) => topic !== 'nobody')
      await until(() => seen.length >= heard.length)
      expect(seen.map(({ topic, message: { id, body } }) => ({ topic, id, body }))).toEqual(
        heard.map(({ topic, message: { id, body } }) => ({ topic, id, body })),
      )
      expect(broker.unheard).toBe(sent.length - heard.length)
    },
  )

  test('keeps its order while the server forgets scripts and others load the same', async () => {
    const broker = await pubSub()
    const { seen, deliver } = collector()
    await broker.subscribe(spec({ broadcast: true, prefetch: 5_000 }), deliver)
    for (let n = 0; n < 10; n++) {
      const published = broker.publish(batch(1_000, 'k', n * 1_000))
      for (let times = 0; times < 20; times++) {
        await scene.admin.script('FLUSH')
        await scene.admin.script('LOAD', publishOnChannels)
      }
      await published
    }
    await until(() => seen.length >= 10_000)
    expect(seen.map(({ message: { body } }) => body)).toEqual(seen.map((_, n) => String(n)))
  })

  test('tells which of its messages the server refused', async () => {
    const broker = await pubSub(await user('allkeys', '+@all', `&${scene.prefix}:t`))
    const sent = batch(4).map((one, n) => ({ ...one, topic: n === 2 ? 'forbidden' : 't' }))
    const refusal = await broker.publish(sent).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(PublishError)
    expect((refusal as PublishError).failed).toMatchObject([{ index: 2, id: sent[2]?.message.id }])
    expect(broker.unheard).toBe(3)
  })

  test('is sent message by message where the user may run no scripts', async () => {
    const broker = await pubSub(await user('allchannels', '+@all', '-@scripting'))
    for (let n = 1; n <= 2; n++) {
      await broker.publish(batch(3))
      expect(broker.unheard).toBe(3 * n)
    }
  })
})
