/** Bad input and servers that are not as they should be: each says what is wrong and names the setting. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import { PublishError } from '../broker/index.ts'
import { batch, collector, message, Scene, silent, spec, until } from './fixtures/brokers.ts'
import { freePort, startTlsServer } from './fixtures/tls.ts'
import { RedisPubSubBroker, RedisStreamsBroker, type RedisStreamsBrokerOptions } from './index.ts'

let folder: string
let server: OwnServer
let scene: Scene

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-redis-'))
  server = await startServer('redis', { dataDir: join(folder, 'redis') })
})

beforeEach(() => {
  scene = new Scene(server.url)
})

afterEach(() => scene.end())

afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

function make(options: RedisStreamsBrokerOptions): RedisStreamsBroker {
  const broker = new RedisStreamsBroker({ prefix: scene.prefix, logger: silent, ...options })
  scene.atEnd(() => broker.stop({ deadline: 500 }))
  return broker
}

const refusalOf = async (what: Promise<unknown>): Promise<Error> => {
  const outcome = await what.then(
    () => undefined,
    (error: unknown) => error as Error,
  )
  if (outcome === undefined) throw new Error('nothing was refused')
  return outcome
}

test('user and password open the server, and a wrong password is told with the setting, not shown, and not tried for ever', async () => {
  await scene.admin.acl('SETUSER', 'worker', 'on', '>secret', '~*', '&*', '+@all')
  const { host, port } = scene.admin.options
  const given = { host: host as string, port: port as number, username: 'worker' }
  await scene.streams({ ...given, password: 'secret' })
  const refusal = await refusalOf(make({ ...given, password: 'wrong-password' }).start())
  expect(refusal).toMatchObject({ name: 'BrokerError' })
  expect(String(refusal)).toMatch(/cannot use the Redis server .*WRONGPASS.*password/s)
  expect(String(refusal)).not.toContain('wrong-password')
  const url = server.url.replace('//', '//worker:wrong-password@')
  const pubSub = new RedisPubSubBroker({ url, logger: silent })
  scene.atEnd(() => pubSub.stop())
  await expect(pubSub.start()).rejects.toThrow(/WRONGPASS.*url.*password/s)
})

test('an unknown host and a database that is not there are told with the setting', async () => {
  await expect(make({ host: 'no-such-host.invalid' }).start()).rejects.toThrow(/no-such-host.*ENOTFOUND.*url or host/s)
  await expect(make({ url: server.url, db: 9_999 }).start()).rejects.toThrow(/DB index.*db/s)
})

test('a missing permission is told with the setting and what is needed', async () => {
  await scene.admin.acl('SETUSER', 'reader', 'on', '>secret', '~*', '&*', '+@read', '+ping', '+info', '+client')
  const refusal = await refusalOf(make({ url: server.url, username: 'reader', password: 'secret' }).start())
  expect(String(refusal)).toMatch(/lacks a permission: .*NOPERM.*username.*EVAL/s)
})

test('who may not listen to hints gets what others publish a little later', async () => {
  const rules = ['~*', 'resetchannels', '+@all']
  await scene.admin.acl('SETUSER', 'deaf', 'on', '>secret', ...rules)
  const deaf = await scene.streams({ url: server.url, username: 'deaf', password: 'secret' })
  const { seen, deliver } = collector()
  await deaf.subscribe(spec(), deliver)
  const other = await scene.streams({ url: server.url })
  for (let n = 0; n < 5; n++) {
    await other.publish(batch(1, 'k', n))
    await until(() => seen.length === n + 1)
  }
  await deaf.publish(batch(1, 'k', 5))
  await until(() => seen.length === 6)
  expect(seen.map((one) => one.message.body)).toEqual(['0', '1', '2', '3', '4', '5'])
})

test('a message is handed out to all groups without anything that looks for it later, also where the server has forgotten the script', async () => {
  // Without the read that stands behind the hints.
  await scene.admin.acl('SETUSER', 'blind', 'on', '>secret', '~*', '&*', '+@all', '-xread')
  const broker = await scene.streams({ url: server.url, username: 'blind', password: 'secret', partitions: 1 })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  // Never reads behind an append, and is told of it beside one that does.
  const parking = collector()
  await broker.subscribe(spec({ group: 'parking', onFailure: 'park' }), parking.deliver)
  for (let n = 0; n < 10; n++) {
    // Nothing is under way any more.
    await broker.metrics()
    if (n % 2 === 0) await scene.admin.script('FLUSH')
    await broker.publish(batch(1, 'k', n))
    await until(() => seen.length === n + 1 && parking.seen.length === n + 1)
  }
  const all = Array.from({ length: 10 }, (_, n) => String(n))
  for (const got of [seen, parking.seen]) expect(got.map((one) => one.message.body)).toEqual(all)
})

test('a server that is too old is refused with the version that is needed', async () => {
  const old = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      for (const command of String(data).split(/(?=\*\d+\r\n)/)) {
        const info = '# Server\r\nredis_version:6.2.14\r\nloading:0\r\n'
        if (/info/i.test(command)) socket.write(`$${info.length}\r\n${info}\r\n`)
        else socket.write(/ping/i.test(command) ? '+PONG\r\n' : '+OK\r\n')
      }
    })
  })
  old.listen(0, '127.0.0.1')
  await once(old, 'listening')
  scene.atEnd(() => void old.close())
  const broker = make({ url: `redis://127.0.0.1:${(old.address() as AddressInfo).port}` })
  await expect(broker.start()).rejects.toThrow(/version 6\.2; Redis 7\.0 or newer is needed/)
})

test('TLS with a certificate of one’s own and a password works; without the one or the other the error names the setting', async () => {
  const { port, ca, stop } = await startTlsServer(folder, 'secret')
  scene.atEnd(stop)
  const url = `rediss://:secret@127.0.0.1:${port}`
  const broker = make({ url, tls: { ca } })
  await broker.start()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish(batch(3))
  await until(() => seen.length === 3)
  await broker.stop()
  await expect(make({ url }).start()).rejects.toThrow(/certificate.*tls \(rediss/s)
  const noPassword = make({ url: `rediss://127.0.0.1:${port}`, tls: { ca } })
  await expect(noPassword.start()).rejects.toThrow(/NOAUTH.*password/s)
  await expect(make({ url: `redis://127.0.0.1:${port}` }).start()).rejects.toThrow(/wants TLS.*tls \(rediss/s)
  const plain = make({ url: server.url.replace('redis:', 'rediss:'), client: { connectTimeout: 500 } })
  await expect(plain.start()).rejects.toThrow(/without TLS.*tls/s)
})

test('a server that is away at start only delays, and one that goes away for a while loses nothing confirmed', async () => {
  const other = await startServer('redis', { dataDir: join(folder, 'away'), durable: true })
  scene.atEnd(() => other.stop())
  await other.stop()
  const broker = make({ url: other.url, lease: 1_000 })
  let started = false
  const starting = broker.start().then(() => (started = true))
  const { seen, deliver } = collector()
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(started).toBe(false)
  await other.restart()
  await starting
  await broker.subscribe(spec(), deliver)
  await broker.publish(batch(1, 'k'))
  await other.kill9()
  const publishing = broker.publish(batch(1, 'k', 1))
  await expect(broker.ping()).rejects.toThrow(/cannot be reached/)
  await other.restart()
  await publishing
  const bodies = (): unknown[] => [...new Set(seen.map((one) => one.message.body))]
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['0', '1'])
})

test('a start that waits for a server that never comes is ended by stop', async () => {
  for (const Class of [RedisStreamsBroker, RedisPubSubBroker]) {
    const broker = new Class({ url: `redis://127.0.0.1:${await freePort()}`, logger: silent })
    const refusal = refusalOf(broker.start())
    await broker.stop()
    expect(await refusal).toMatchObject({ name: 'BrokerError' })
  }
})

test('stop ends by its deadline though the server is away, and says what was not confirmed', async () => {
  const other = await startServer('redis', { dataDir: join(folder, 'gone') })
  scene.atEnd(() => other.stop())
  const broker = make({ url: other.url })
  await broker.start()
  const { seen, deliver } = collector(new Promise(() => undefined))
  await broker.subscribe(spec(), deliver)
  await broker.publish(batch(1))
  await until(() => seen.length === 1)
  await other.kill9()
  const publishing = refusalOf(broker.publish(batch(2)))
  await broker.stop({ deadline: 100 })
  expect(seen[0]?.signal.aborted).toBe(true)
  const refusal = await publishing
  expect(refusal).toBeInstanceOf(PublishError)
  expect((refusal as PublishError).failed).toHaveLength(2)
})

test('a message over the limit, or with more headers than a script takes, is refused, and nothing of its batch is sent', async () => {
  const broker = await scene.streams()
  const large = message('x'.repeat(broker.capabilities.maxMessageBytes + 1))
  const refused = broker.publish([...batch(1), { topic: 't', message: large }])
  await expect(refused).rejects.toThrow(/16777217 bytes.*takes 16777216.*nothing was sent/)
  const headers = Object.fromEntries(Array.from({ length: 2_001 }, (_, n) => [`h${n}`, 'x']))
  const many = { ...message('1'), metadata: { correlationId: 'c', ...headers } }
  const refusal = broker.publish([...batch(1), { topic: 't', message: many }])
  await expect(refusal).rejects.toThrow(/2002 headers.*takes 2000.*nothing was sent/)
  await broker.publish(batch(1))
  expect((await broker.metrics()).topics[0]?.depth).toBe(1)
})

test('a Redis without memory refuses what is published, says so, and takes it when there is memory again', async () => {
  const broker = await scene.streams()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await scene.admin.config('SET', 'maxmemory', '1')
  const refusal = await refusalOf(broker.publish(batch(1, 'k')))
  await scene.admin.config('SET', 'maxmemory', '0')
  expect(refusal).toBeInstanceOf(PublishError)
  expect(String(refusal)).toMatch(/OOM|maxmemory/)
  await broker.publish(batch(1, 'k', 1))
  await until(() => seen.length === 1)
  expect(seen[0]?.message.body).toBe('1')
})

test('a package that is missing is named with the command that installs it', () => {
  const index = new URL('./index.ts', import.meta.url).href
  const code = `
    import { register } from 'node:module'
    const refuse = "export async function resolve(name, context, next) { if (name === 'ioredis') { const error = new Error('no'); error.code = 'ERR_MODULE_NOT_FOUND'; throw error } return next(name, context) }"
    register('data:text/javascript,' + encodeURIComponent(refuse))
    const { RedisStreamsBroker } = await import(${JSON.stringify(index)})
    await new RedisStreamsBroker().start().catch((error) => console.log(error.name + ': ' + error.message))`
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  expect(told.trim()).toBe('ConfigurationError: the Redis brokers need the package ioredis: run npm install ioredis@6')
})

describe('verify', () => {
  test('tells how safe the server keeps what it confirms, and start warns of the worst', async () => {
    const warnings: object[] = []
    const logger = { ...silent, warn: (fields: object) => void warnings.push(fields) }
    const broker = await scene.streams({ logger })
    expect(await broker.verify()).toMatchObject([{ setting: 'appendfsync', expected: 'always', found: 'everysec' }])
    expect(warnings).toEqual([])
    await scene.admin.config('SET', 'appendfsync', 'always')
    expect(await broker.verify()).toEqual([])
    await scene.admin.config('SET', 'appendonly', 'no')
    await scene.admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    try {
      const settings = (await broker.verify()).map(({ setting }) => setting)
      expect(settings).toEqual(['maxmemory-policy', 'appendonly'])
      await scene.streams({ logger })
      expect(warnings).toMatchObject([{ setting: 'maxmemory-policy' }, { setting: 'appendonly', expected: 'yes' }])
    } finally {
      await scene.admin.config('SET', 'appendonly', 'yes')
      await scene.admin.config('SET', 'maxmemory-policy', 'noeviction')
    }
  })

  test('tells of a topic with other partitions, of keys that are no streams and of groups that somebody has removed', async () => {
    await scene.admin.config('SET', 'appendfsync', 'always')
    const broker = await scene.streams({ partitions: 2 })
    const subscription = await broker.subscribe(spec(), collector().deliver)
    await subscription.stop()
    expect(await broker.verify()).toEqual([])
    const other = await scene.streams({ partitions: 4 })
    expect(await other.verify()).toMatchObject([{ setting: 'partitions', expected: '4', found: '2' }])
    const [first, second] = [`${scene.prefix}:{t}:0`, `${scene.prefix}:{t}:1`]
    const token = await scene.admin.hget(`${scene.prefix}:{t}:g:g`, 't:0')
    await scene.admin.xgroup('DESTROY', first, `g@${token}`)
    await scene.admin.set(second, 'no stream')
    expect(await broker.verify()).toMatchObject([
      { name: first, setting: 'consumer group', expected: `g@${token}` },
      { name: second, setting: 'type', expected: 'stream', found: 'string' },
    ])
  })
})
