/** Bad input and trouble, over a server of this test's own. */
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Admin } from '@platformatic/kafka'
import { PublishError } from '../broker/index.ts'
import { brokerWith, order, patience, refusal, silent, spec, started } from './fixtures/messages.ts'
import { startKafka } from './fixtures/servers.ts'
import { KafkaBroker } from './index.ts'

let own: Awaited<ReturnType<typeof startKafka>>

beforeAll(async () => {
  own = await startKafka()
})

afterAll(() => own?.end())

async function admin<T>(use: (client: Admin) => Promise<T>): Promise<T> {
  const client = new Admin({ clientId: 'test', bootstrapBrokers: [own.brokers.replace('kafka://', '')] })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

test('an unknown host, and a port where nobody listens, are tried until the time is up; the error names the settings', async () => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const { port } = holder.address() as { port: number }
  holder.close()
  await once(holder, 'close')
  for (const host of ['no-such-host.invalid:9092', `127.0.0.1:${port}`]) {
    const { name, message } = await refusal({ brokers: `kafka://me:secret@${host}`, connectTimeout: 300 })
    expect(name).toBe('BrokerError')
    expect(message).toMatch(/'connectTimeout'.*'brokers'/)
    expect(message).toContain(host)
    expect(message).not.toContain('secret')
  }
})

test('a lease that the server does not allow is named', async () => {
  const broker = await started({ brokers: own.brokers, lease: 1_000, heartbeat: 100 })
  await expect(broker.subscribe(spec(), () => ({ ack: true }))).rejects.toThrow(
    /'lease'.*group\.min\.session\.timeout\.ms/,
  )
})

test('a message over the limit is refused before anything is sent', async () => {
  const broker = await started({ brokers: own.brokers, maxMessageBytes: 100 })
  await expect(broker.publish([order('small'), order('large', { body: 'x'.repeat(101) })])).rejects.toThrow(
    /'maxMessageBytes'/,
  )
  expect((await broker.metrics()).topics).toEqual([])
})

test('a topic that takes less than this broker sends: the large message is refused by name, the others are stored', async () => {
  const prefix = `small${Date.now().toString(36)}`
  const configs = [{ name: 'max.message.bytes', value: '2000' }]
  await admin((client) => client.createTopics({ topics: [`${prefix}.orders`], partitions: 1, replicas: 1, configs }))
  const broker = await started({ brokers: own.brokers, prefix })
  const batch = [order('a'), order('large', { body: 'x'.repeat(5_000) }), order('b')]
  const error = await broker.publish(batch).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(PublishError)
  const { failed } = error as PublishError
  expect(failed.map(({ id, index }) => [id, index])).toEqual([['large', 1]])
  expect(failed[0]?.error).toMatchObject({
    name: 'MessageTooLargeError',
    message: expect.stringMatching(/max\.message\.bytes/) as string,
  })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await vi.waitFor(() => expect(seen).toEqual(['a', 'b']), patience)
})

test('a topic that exists with other settings is taken as it is, and verify tells what differs', async () => {
  const prefix = `settings${Date.now().toString(36)}`
  const configs = [{ name: 'retention.ms', value: '1000000' }]
  await admin((client) => client.createTopics({ topics: [`${prefix}.orders`], partitions: 3, replicas: 1, configs }))
  const broker = await started({ brokers: own.brokers, prefix })
  await broker.publish([order('one'), { topic: 'others', message: order('two').message }])
  const differences = await broker.verify()
  expect(differences.filter(({ topic }) => topic === `${prefix}.others`)).toEqual([])
  const settings = Object.fromEntries(differences.map(({ setting, expected, found }) => [setting, [expected, found]]))
  expect(settings).toMatchObject({ partitions: [2, 3], 'retention.ms': ['604800000', '1000000'] })
})

test('a group of another program is not joined, and the error says why', async () => {
  const prefix = `foreign${Date.now().toString(36)}`
  const broker = await started({ brokers: own.brokers, prefix })
  await broker.publish([order('one')])
  const { Consumer } = await import('@platformatic/kafka')
  const bootstrapBrokers = [own.brokers.replace('kafka://', '')]
  const other = new Consumer({ clientId: 'other', groupId: `${prefix}.g`, bootstrapBrokers })
  const stream = await other.consume({ topics: [`${prefix}.orders`], mode: 'earliest' })
  stream.on('data', () => {})
  await expect(broker.subscribe(spec(), () => ({ ack: true }))).rejects.toThrow(/members of another program/)
  await stream.close()
  await other.close(true)
})

test('a server that goes away and comes back only delays: nothing confirmed is lost, order holds', async () => {
  const broker = await started({ brokers: own.brokers })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await broker.publish([order('before')])
  await own.server.stop()
  const during = broker.publish([order('during')])
  await own.server.restart()
  await during
  await broker.publish([order('after')])
  await vi.waitFor(() => expect(seen).toEqual(expect.arrayContaining(['before', 'during', 'after'])), patience)
  expect([...new Set(seen)]).toEqual(['before', 'during', 'after'])
})

test('a server that is away at the start only delays it', async () => {
  await own.server.stop()
  const broker = brokerWith({ brokers: own.brokers })
  const starting = broker.start()
  await own.server.restart()
  await starting
  await broker.publish([order('one')])
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: 1 }])
})

test('a broker that has not been started, or was stopped, says so', async () => {
  const broker = new KafkaBroker({ brokers: own.brokers, logger: silent })
  await expect(broker.publish([order('one')])).rejects.toThrow(/call start\(\) first/)
  await broker.stop()
  await expect(broker.ping()).rejects.toThrow(/was stopped/)
})
