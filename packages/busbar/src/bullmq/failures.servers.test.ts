/** Bad input and servers that are not as they should be: each says what is wrong and names the setting. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import { collector, message, out, spec, until, World } from './fixtures/world.ts'
import { BullMqBroker } from './index.ts'

let folder: string
let server: OwnServer
let admin: Redis
const world = new World(() => server.url)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-bullmq-'))
  server = await startServer('redis', { dataDir: join(folder, 'redis') })
  admin = new Redis(server.url)
  await admin.acl('SETUSER', 'worker', 'on', '>secret', '~*', '+@all')
  await admin.acl('SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+ping', '+info', '+client')
})

beforeEach(() => world.begin())
afterEach(() => world.end())

afterAll(async () => {
  admin.disconnect()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const address = (): string => server.url.replace('redis://', '')

test('a user and a password are taken from the URL, and a wrong password is told with the setting, and not tried for ever', async () => {
  const broker = await world.broker({ url: `bullmq://worker:secret@${address()}` })
  await broker.ping()
  const wrong = world.make({ url: `bullmq://worker:wrong-password@${address()}` })
  const refusal = await wrong.start().catch((error: unknown) => error as Error)
  expect(refusal).toMatchObject({ name: 'BrokerError' })
  expect(String(refusal)).toMatch(/WRONGPASS.*url.*password/s)
  expect(String(refusal)).not.toContain('wrong-password')
})

test('what client names wins over the URL', async () => {
  const { hostname, port } = new URL(server.url)
  const broker = await world.broker({ url: 'bullmq://no-such-host.invalid:1', client: { host: hostname, port: +port } })
  await expect(broker.ping()).resolves.toBeUndefined()
})

test('an unknown host is told with the setting', async () => {
  const broker = world.make({ url: 'bullmq://no-such-host.invalid:6379' })
  await expect(broker.start()).rejects.toThrow(/no-such-host\.invalid.*ENOTFOUND.*url.*host/s)
})

test('a missing permission is told with the user’s setting and what is needed', async () => {
  const broker = world.make({ url: server.url, client: { username: 'reader', password: 'secret' } })
  await expect(broker.start()).rejects.toThrow(/permission.*NOPERM.*client\.username.*EVAL/s)
})

test('a scheme that is none is refused, and what cannot work names its option', () => {
  expect(() => new BullMqBroker({ url: 'http://secret@x' })).toThrow(/url begins with "http".*bullmq:\/\//s)
  expect(() => new BullMqBroker({ url: 'http://secret@x' })).not.toThrow(/secret/)
  expect(() => new BullMqBroker({ lease: 1 })).toThrow(/lease is 1; give a number of 50 or more/)
  expect(() => new BullMqBroker({ prefix: '' })).toThrow(/prefix/)
  expect(() => new BullMqBroker({ client: { keyPrefix: 'x' } })).toThrow(/keyPrefix.*use prefix/)
})

test('a server that is too old is refused with the version that is needed', async () => {
  const old = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      for (const command of String(data).split(/(?=\*\d+\r\n)/)) {
        const info = '# Server\r\nredis_version:5.0.14\r\nloading:0\r\n'
        if (/info/i.test(command)) socket.write(`$${info.length}\r\n${info}\r\n`)
        else socket.write(/ping/i.test(command) ? '+PONG\r\n' : '+OK\r\n')
      }
    })
  })
  old.listen(0, '127.0.0.1')
  await once(old, 'listening')
  const broker = world.make({ url: `redis://127.0.0.1:${(old.address() as AddressInfo).port}` })
  await expect(broker.start()).rejects.toThrow(/version 5\.0; Redis 6\.2 or newer is needed/)
  old.close()
})

test('a server that is away at start only delays, and one that goes away for a while loses nothing confirmed', async () => {
  const dataDir = join(folder, 'away')
  const other = await startServer('redis', { dataDir, durable: true })
  await other.stop()
  const broker = world.make({ url: other.url, lease: 1_000 })
  let started = false
  const starting = broker.start().then(() => (started = true))
  const { bodies, deliver } = collector()
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(started).toBe(false)
  await other.restart()
  await starting
  await broker.subscribe(spec(), deliver)
  await broker.publish(out(message('1')))
  await other.stop()
  const publishing = broker.publish(out(message('2')))
  await expect(broker.ping()).rejects.toThrow(/cannot be reached/)
  await other.restart()
  await publishing
  await until(() => bodies().includes('1') && bodies().includes('2'))
  await broker.stop({ deadline: 500 })
  await other.stop()
})

test('a start that waits for a server that never comes is ended by stop', async () => {
  const broker = world.make({ url: `redis://127.0.0.1:${await freePort()}` })
  const refusal = broker.start().catch((error: unknown) => error)
  await broker.stop()
  expect(await refusal).toMatchObject({ name: 'BrokerError' })
})

test('stop ends by its deadline though the server is away', async () => {
  const other = await startServer('redis', { dataDir: join(folder, 'gone') })
  const broker = world.make({ url: other.url })
  await broker.start()
  const { seen, deliver } = collector(new Promise(() => undefined))
  await broker.subscribe(spec(), deliver)
  await broker.publish(out(message('1')))
  await until(() => seen.length === 1)
  await other.kill9()
  await broker.stop({ deadline: 100 })
  expect(seen[0]?.signal.aborted).toBe(true)
  await other.stop()
})

test('a message over the limit is refused, and nothing of its batch is sent', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const large = message('x'.repeat(broker.capabilities.maxMessageBytes + 1))
  const refusal = broker.publish(out(message('1'), large))
  await expect(refusal).rejects.toThrow(/16777217 bytes.*takes 16777216.*nothing was sent/)
  await broker.publish(out(message('2')))
  await until(() => bodies().length > 0)
  expect(bodies()).toEqual(['2'])
})

test('a Redis without memory refuses what is published, and says so', async () => {
  const broker = await world.broker()
  const { seen, bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await admin.config('SET', 'maxmemory', '1')
  const refusal = await broker.publish(out(message('1'))).catch((error: unknown) => error as Error)
  await admin.config('SET', 'maxmemory', '0')
  expect(refusal).toMatchObject({ name: 'PublishError' })
  expect(String(refusal)).toMatch(/OOM|maxmemory/)
  await broker.publish(out(message('2')))
  await until(() => bodies().includes('2'))
  expect(seen).toHaveLength(1)
})

test('a package that is missing is named with the command that installs it', () => {
  // A folder without node_modules has no client.
  const index = new URL('./connection.ts', import.meta.url).href
  const code = `
    import { register } from 'node:module'
    const refuse = "export async function resolve(name, context, next) { if (name === 'bullmq') { const error = new Error('no'); error.code = 'ERR_MODULE_NOT_FOUND'; throw error } return next(name, context) }"
    register('data:text/javascript,' + encodeURIComponent(refuse))
    const { BullMqBroker } = await import(${JSON.stringify(index.replace('connection', 'index'))})
    await new BullMqBroker({}).start().catch((error) => console.log(error.name + ': ' + error.message))`
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  expect(told.trim()).toBe(
    'ConfigurationError: the BullMQ broker needs the package bullmq: run npm install bullmq@6 ioredis@6',
  )
})

test('TLS with a certificate of one’s own works; without it, or without TLS, the error names the setting', async () => {
  const { port, ca, stop } = await tlsServer(join(folder))
  const url = `bullmqs://127.0.0.1:${port}`
  const broker = await world.broker({ url, client: { tls: { ca } } })
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish(out(message('1')))
  await until(() => bodies().includes('1'))
  await broker.stop()
  await expect(world.make({ url }).start()).rejects.toThrow(/certificate.*bullmqs.*tls/s)
  await expect(world.make({ url: `bullmq://127.0.0.1:${port}` }).start()).rejects.toThrow(/wants TLS.*bullmqs/s)
  const plain = world.make({ url: server.url.replace('redis:', 'bullmqs:'), client: { connectTimeout: 500 } })
  await expect(plain.start()).rejects.toThrow(/without TLS.*bullmqs/s)
  await stop()
})

/** A Redis that talks TLS alone, with a certificate that it made itself. */
async function tlsServer(parent: string): Promise<{ port: number; ca: string; stop(): Promise<void> }> {
  const dir = await mkdtemp(join(parent, 'tls-'))
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject]
  execFileSync('openssl', make, { stdio: 'ignore' })
  const port = await freePort()
  const tls = ['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert]
  const rest = ['--port', '0', '--bind', '127.0.0.1', '--tls-auth-clients', 'no', '--dir', dir, '--appendonly', 'yes']
  const child: ChildProcess = spawn('redis-server', [...tls, ...rest], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  return {
    port,
    ca: readFileSync(cert, 'utf8'),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  probe.listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
