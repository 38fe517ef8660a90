/** Bad input and trouble, over servers of this file's own. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { freePort } from './fixtures/ports.ts'
import { brokerWith, order, orders, patience, refusal, spec, started } from './fixtures/messages.ts'
import { type OwnRabbit, plainChannel, startProxy, startRabbit } from './fixtures/servers.ts'

const run = promisify(execFile)

let server: OwnRabbit
let folder: string
let tlsPort: number
let ca: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-rabbitmq-tls-'))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ])
  ca = await readFile(cert, 'utf8')
  tlsPort = await freePort()
  server = await startRabbit(
    [
      `listeners.ssl.local = 127.0.0.1:${tlsPort}`,
      `ssl_options.cacertfile = ${cert}`,
      `ssl_options.certfile = ${cert}`,
      `ssl_options.keyfile = ${key}`,
      'ssl_options.verify = verify_none',
      'max_message_size = 100000',
    ].join('\n'),
  )
}, 180_000)

afterAll(async () => {
  await server.end()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

function at(change: (url: URL) => void): string {
  const url = new URL(server.url)
  change(url)
  return url.href
}

describe('who we are', () => {
  test('user and password, in the URL or beside it; a wrong one is told at once, without being shown', async () => {
    const { username, password } = new URL(server.url)
    const bare = at((url) => {
      url.username = ''
      url.password = ''
    })
    await expect((await started({ url: bare, username, password, prefix: 'who' })).ping()).resolves.toBeUndefined()
    for (const options of [
      { url: at((url) => void (url.password = 'wrong-one')) },
      { url: server.url, password: 'wrong-one' },
    ]) {
      const { name, message } = await refusal(options)
      expect(name).toBe('BrokerError')
      expect(message).toMatch(/refused.*user and password in 'url'/)
      expect(message).not.toContain('wrong-one')
    }
  })

  test('a virtual host that is not there is named', async () => {
    const { message } = await refusal({ url: at((url) => void (url.pathname = '/nowhere')) })
    expect(message).toMatch(/nowhere.*virtual host at the end of 'url'/)
  })

  test('a permission that is missing is named, at the start and at a publish', async () => {
    await server.ctl('add_user', 'reader', 'p')
    await server.ctl('set_permissions', 'reader', '', '', '.*')
    await server.ctl('add_user', 'mute', 'p')
    await server.ctl('set_permissions', 'mute', '.*', '^(?!allowed:secret).*', '.*')
    const as = (user: string): string =>
      at((url) => {
        url.username = user
        url.password = 'p'
      })
    expect((await refusal({ url: as('reader') })).message).toMatch(
      /access to .*'busbar:::.*refused.*permissions configure, write and read/,
    )
    const mute = await started({ url: as('mute'), prefix: 'allowed' })
    await mute.subscribe(spec(), () => ({ ack: true }))
    await mute.publish([order('one')])
    await expect(mute.publish([{ ...order('two'), topic: 'secret' }])).rejects.toThrow(
      /allowed:secret.*refused.*permissions/,
    )
    await mute.publish([order('three')])
  })
})

describe('TLS', () => {
  const tls = (): string =>
    at((url) => {
      url.protocol = 'amqps:'
      url.hostname = 'localhost'
      url.port = String(tlsPort)
    })

  test('a certificate that is trusted is taken, by the URL or by tls', async () => {
    const broker = await started({ url: tls(), tls: { ca }, prefix: 'tls' })
    await broker.publish([order('one')])
    await expect(broker.ping()).resolves.toBeUndefined()
    const other = await started({ url: tls().replace('amqps:', 'amqp:'), tls: { ca }, prefix: 'tls' })
    await expect(other.ping()).resolves.toBeUndefined()
  })

  test('one that is not is refused at once, naming the setting', async () => {
    const { message } = await refusal({ url: tls() })
    expect(message).toMatch(/self.signed certificate.*'tls\.ca'/i)
  })

  test('TLS where the server speaks none, and none where it does', async () => {
    const wrong = await refusal({ url: at((url) => void (url.protocol = 'amqps:')), connectTimeout: 500 })
    expect(wrong.message).toMatch(/amqps:\/\/ where the port takes amqp:\/\//)
    const plain = await refusal({ url: tls().replace('amqps:', 'amqp:'), connectTimeout: 500 })
    expect(plain.message).toMatch(/amqps:\/\/ where the port takes amqp:\/\//)
  })
})

describe('the server', () => {
  test('an unknown host is told at once', async () => {
    const { message } = await refusal({ url: 'amqp://no-such-host.invalid' })
    expect(message).toMatch(/no-such-host\.invalid.*Check the host in 'url'/)
  })

  test('a server that is away is tried until the time is up', async () => {
    const { message } = await refusal({ url: `amqp://127.0.0.1:${await freePort()}`, connectTimeout: 300 })
    expect(message).toMatch(/ECONNREFUSED.*'url'/)
  })

  test('a server that is away at the start only delays it', async () => {
    const proxy = await startProxy(server.url)
    proxy.cut()
    const broker = brokerWith({ url: proxy.url, prefix: 'away' })
    const starting = broker.start()
    setTimeout(() => proxy.pass(), 300)
    await starting
    await expect(broker.ping()).resolves.toBeUndefined()
  })

  test('another node of the list is taken where the first is away', async () => {
    const broker = await started({ url: [`amqp://127.0.0.1:${await freePort()}`, server.url], prefix: 'nodes' })
    await expect(broker.ping()).resolves.toBeUndefined()
  })

  test('a version that cannot do it is refused with the one that can', async () => {
    const older = (bytes: Buffer): Buffer => {
      const text = bytes.toString('latin1')
      const real = /version\0?S.{4}(\d+\.\d+\.\d+)/s.exec(text)?.[1]
      if (real === undefined) return bytes
      return Buffer.from(text.replace(real, '3.9.29'.padEnd(real.length, ' ').slice(0, real.length)), 'latin1')
    }
    const { url } = await startProxy(server.url, older)
    const { name, message } = await refusal({ url })
    expect(name).toBe('ConfigurationError')
    expect(message).toMatch(/too old: Busbar needs 3\.10/)
  })
})

describe('what is there already', () => {
  test('a queue with other settings is named with the setting, and nothing confirmed is lost', async () => {
    const channel = await plainChannel(server.url)
    await channel.assertQueue('other:orders:g:2', { durable: true })
    const broker = await started({ url: server.url, prefix: 'other' })
    await expect(broker.subscribe(spec(), () => ({ ack: true }))).rejects.toThrow(
      /'x-single-active-consumer' for queue 'other:orders:g:2'.*verify\(\)/s,
    )
    const [difference] = await broker.verify()
    expect(difference).toMatchObject({ name: 'other:orders:g:2', setting: 'x-single-active-consumer', found: 'none' })
    await channel.deleteQueue('other:orders:g:2')
    const seen: string[] = []
    await broker.subscribe(spec(), ({ message: { id } }) => {
      seen.push(id)
      return { ack: true }
    })
    await broker.publish(orders(5))
    await vi.waitFor(() => expect(seen).toHaveLength(5), patience)
    expect(await broker.verify()).toEqual([])
  })

  test('an exchange of another type is named', async () => {
    const channel = await plainChannel(server.url)
    await channel.assertExchange('exchange:orders', 'fanout', { durable: true })
    const broker = await started({ url: server.url, prefix: 'exchange' })
    await expect(broker.publish([order('one')])).rejects.toThrow(/'type'.*exchange 'exchange:orders'.*'prefix'/)
  })
})

test('a message over the limit is refused before it is sent; one over the limit of the server fails alone', async () => {
  const broker = await started({ url: server.url, prefix: 'large' })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  const small = await started({ url: server.url, prefix: 'large', maxMessageBytes: 1_000 })
  const big = order('big', { body: JSON.stringify('x'.repeat(200_000)) })
  await expect(small.publish([order('a'), big])).rejects.toThrow(/big \(T\) has 200002 bytes and rabbitmq takes 1000/)
  const results = await Promise.allSettled([
    broker.publish(orders(20, 'b')),
    broker.publish([big]),
    broker.publish(orders(20, 'c')),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(String((results[1] as PromiseRejectedResult).reason)).toMatch(
    /message size 200002 is larger than configured max size 100000/,
  )
  await vi.waitFor(() => expect(new Set(seen).size).toBe(40), patience)
  const headers = { correlationId: 'c', large: 'x'.repeat(60_000) }
  await expect(broker.publish([order('headers', { metadata: headers })])).rejects.toThrow(
    /bytes of attributes and metadata/,
  )
})
