import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { kinds } from './kinds.ts'
import { freePort } from './ports.ts'
import { addressOf, ask, withoutPassword } from './probe.ts'
import { type ServerName, serverNames } from './server.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A server that answers whatever it is asked, or speaks first, with these packets. Returns its port. */
async function answering(packets: readonly (string | Buffer)[], { first = false } = {}): Promise<number> {
  const server = createServer((socket) => {
    const answer = (): void => {
      for (const packet of packets) socket.write(packet)
    }
    socket.on('error', () => undefined)
    if (first) answer()
    else socket.once('data', answer)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function readiness(name: ServerName, packets: readonly (string | Buffer)[]): Promise<string> {
  const port = await answering(packets, { first: name === 'nats' })
  const url = kinds[name].url({ ports: { main: port }, secret: 'secret' })
  return await kinds[name].answers(url).then(
    () => 'ready',
    (error: Error) => error.message,
  )
}

const refusal = (code: string, text: string): Buffer => {
  const fields = Buffer.from(`SFATAL\0C${code}\0M${text}\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
const apiVersions = (correlation: number[], error: number): Buffer =>
  Buffer.from([0, 0, 0, 6, 0, ...correlation, 0, error])

describe('a server is ready', () => {
  test('Redis: when it answers a ping, or wants a password first; not while it loads its data', async () => {
    expect(await readiness('redis', ['+PONG\r\n'])).toBe('ready')
    expect(await readiness('redis', ['-NOAUTH Authentication required.\r\n'])).toBe('ready')
    expect(await readiness('redis', ['-LOADING Redis is loading the dataset\r\n'])).toContain('LOADING')
  })

  test('PostgreSQL: when it asks who we are, or refuses us; not while it starts', async () => {
    expect(await readiness('postgres', [Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 10])])).toBe('ready')
    expect(await readiness('postgres', [refusal('28000', 'no entry for this host')])).toBe('ready')
    const starting = refusal('57P03', 'the database system is starting up')
    expect(await readiness('postgres', [starting])).toContain('the database system is starting up')
    expect(await readiness('postgres', [starting.subarray(0, 9), starting.subarray(9)])).toContain('starting up')
    expect(await readiness('postgres', ['HTTP/1.1 400 Bad Request\r\n'])).toContain('not a PostgreSQL server')
  })

  test('RabbitMQ: when it opens the conversation; not when it wants another protocol', async () => {
    const start = Buffer.from([1, 0, 0, 0, 0, 0, 64, 0, 10, 0, 10, 0, 9])
    expect(await readiness('rabbitmq', [start])).toBe('ready')
    expect(await readiness('rabbitmq', ['AMQP\x00\x00\x09\x01more'])).toContain('not an AMQP 0-9-1 server')
  })

  test('NATS: when it says that it has JetStream', async () => {
    expect(await readiness('nats', ['INFO {"jetstream":', 'true,"version":"2.15.2"}\r\n'])).toBe('ready')
    expect(await readiness('nats', ['INFO {"version":"2.9.10"}\r\n'])).toContain('2.9.10 runs without JetStream')
    expect(await readiness('nats', ['220 mail\r\n'])).toContain('not a NATS server')
  })

  test('Kafka: when it answers our very question without an error', async () => {
    expect(await readiness('kafka', [apiVersions([0x62, 0x75, 0x73], 0)])).toBe('ready')
    expect(await readiness('kafka', [apiVersions([0x62, 0x75, 0x73], 35)])).toContain('error 35')
    expect(await readiness('kafka', [apiVersions([0, 0, 1], 0)])).toContain('not a Kafka broker')
  })

  test.each(serverNames)('%s: not when nothing listens', async (name) => {
    const url = kinds[name].url({ ports: { main: await freePort() }, secret: 'secret' })
    await expect(kinds[name].answers(url)).rejects.toThrow('ECONNREFUSED')
  })

  test('none that is silent', async () => {
    const url = `x://127.0.0.1:${await answering([], { first: true })}`
    const question = { url, defaultPort: 1, timeout: 50, isAnswer: () => true }
    await expect(ask(question)).rejects.toThrow('no answer')
  })
})

describe('the address of a URL', () => {
  test('is its first host, and its port or the default', () => {
    expect(addressOf('redis://:p%40ss@cache.example:1234/2', 6379)).toMatchObject({ host: 'cache.example', port: 1234 })
    expect(addressOf('kafka://a:1,b:2', 9092)).toMatchObject({ scheme: 'kafka', host: 'a', port: 1 })
    expect(addressOf('amqps://user:pass@[::1]/vhost', 5671)).toMatchObject({ scheme: 'amqps', host: '::1', port: 5671 })
  })

  test('is refused where there is none, without showing a password', () => {
    expect(() => addressOf('localhost', 1)).toThrow('not a URL')
    expect(() => addressOf('redis://me:hidden@', 1)).toThrow('redis://me:***@')
  })

  test('is shown without passwords', () => {
    expect(withoutPassword('amqp://me:hidden@host/')).toBe('amqp://me:***@host/')
    expect(withoutPassword('redis://:hidden@host:1')).toBe('redis://:***@host:1')
    expect(withoutPassword('nats://host:4222')).toBe('nats://host:4222')
  })
})
