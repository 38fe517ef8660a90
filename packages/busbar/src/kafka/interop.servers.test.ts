/** Both ways between Busbar and programs that know CloudEvents and Kafka, and nothing of Busbar. */
import { Consumer, Producer } from '@platformatic/kafka'
import { CloudEvent, Kafka as Binding } from 'cloudevents'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { createEventBus, event, type EventBus, type Message, silentLogger, typed } from '../index.ts'
import { patience, silent } from './fixtures/messages.ts'
import { startKafka } from './fixtures/servers.ts'
import { KafkaBroker } from './index.ts'

interface Order {
  readonly total: number
  readonly note: string
}

const OrderPlaced = event('OrderPlaced', typed<Order>(), { topic: 'orders', version: 2 })

let own: Awaited<ReturnType<typeof startKafka>>
let bootstrapBrokers: string[]

beforeAll(async () => {
  own = await startKafka()
  bootstrapBrokers = [own.brokers.replace('kafka://', '')]
})

afterAll(() => own?.end())

async function busOn(prefix: string): Promise<EventBus> {
  const broker = new KafkaBroker({ brokers: own.brokers, prefix, lease: 6_000, partitions: 2, logger: silent })
  const bus = await createEventBus({ broker, source: '/shop', logger: silentLogger })
  onTestFinished(() => bus.stop())
  return bus
}

/** The first `count` records of a topic, as a plain consumer gets them. */
async function records(topic: string, count: number) {
  const consumer = new Consumer({ clientId: 'plain', groupId: `plain-${topic}`, bootstrapBrokers })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
  const found = []
  for await (const record of stream) if (found.push(record) === count) break
  await consumer.close(true)
  return found
}

async function write(
  topic: string,
  key: string,
  { headers, value }: { headers: object; value: string },
): Promise<void> {
  const producer = new Producer({ clientId: 'plain', bootstrapBrokers })
  const bytes = new Map(
    Object.entries(headers)
      // The package names attributes that are not there.
      .filter(([, text]) => text !== undefined)
      .map(([name, text]) => [Buffer.from(name), Buffer.from(String(text))]),
  )
  await producer.send({ messages: [{ topic, key: Buffer.from(key), value: Buffer.from(value), headers: bytes }] })
  await producer.close()
}

test('what Busbar writes is a CloudEvent for the plain client and the cloudevents package, under its key', async () => {
  const bus = await busOn('out')
  const placed = OrderPlaced.create({ total: 42, note: 'Grüße' }, { tenantId: 't1' }, { subject: 'o-1' })
  await bus.publish(placed)
  const [record] = await records('out.orders', 1)
  expect(record?.key.toString()).toBe('o-1')
  const headers = Object.fromEntries([...(record?.headers ?? [])].map(([name, value]) => [String(name), String(value)]))
  const message = { key: record?.key.toString() ?? '', value: record?.value.toString() ?? '', headers, body: '' }
  const read = Binding.toEvent<Order>(message) as CloudEvent<Order>
  expect(read.validate()).toBe(true)
  expect(read).toMatchObject({
    specversion: '1.0',
    id: placed.id,
    type: 'OrderPlaced',
    source: '/shop',
    subject: 'o-1',
    partitionkey: 'o-1',
    tenantid: 't1',
    datacontenttype: 'application/json',
    data: { total: 42, note: 'Grüße' },
  })
  expect(new Date(read.time ?? '')).toEqual(placed.time)
})

test('what a plain client writes as a CloudEvent, in binary and in structured mode, reaches a handler', async () => {
  const bus = await busOn('in')
  const seen: Message<Order>[] = []
  await bus.subscribe(OrderPlaced, (message) => void seen.push(message), { group: 'billing' })
  const about = {
    type: 'OrderPlaced',
    source: '/legacy',
    subject: 'o-7',
    dataversion: 2,
    time: '2026-01-02T03:04:05.000Z',
  }
  const binary = Binding.binary(new CloudEvent<Order>({ ...about, id: 'binary', data: { total: 1, note: 'a' } }))
  const structured = Binding.structured(
    new CloudEvent<Order>({ ...about, id: 'structured', data: { total: 2, note: 'b' } }),
  )
  await write('in.orders', 'o-7', { headers: binary.headers, value: JSON.stringify(binary.value) })
  await write('in.orders', 'o-7', { headers: structured.headers, value: String(structured.value) })
  await vi.waitFor(() => expect(seen).toHaveLength(2), patience)
  for (const [index, id] of ['binary', 'structured'].entries()) {
    expect(seen[index]).toMatchObject({ id, type: 'OrderPlaced', source: '/legacy', subject: 'o-7', version: 2 })
    expect(seen[index]?.time).toEqual(new Date(about.time))
  }
  expect(seen.map(({ data }) => data)).toEqual([
    { total: 1, note: 'a' },
    { total: 2, note: 'b' },
  ])
})

test('a key falls into the same partition whoever writes it, so its order holds over all of them', async () => {
  const bus = await busOn('keys')
  const keys = Array.from({ length: 20 }, (_, n) => `o-${n}`)
  for (const key of keys) await bus.publish(OrderPlaced.create({ total: 1, note: 'busbar' }, {}, { key }))
  const { compatibilityPartitioner: partitioner } = await import('@platformatic/kafka')
  const producer = new Producer({ clientId: 'plain', bootstrapBrokers, partitioner })
  const messages = keys.map((key) => ({ topic: 'keys.orders', key: Buffer.from(key), value: Buffer.from('plain') }))
  await producer.send({ messages })
  await producer.close()
  const places = new Map<string, Set<number>>()
  for (const { key, partition } of await records('keys.orders', 40)) {
    const name = key.toString()
    places.set(name, (places.get(name) ?? new Set()).add(partition))
  }
  expect(places.size).toBe(20)
  for (const partitions of places.values()) expect(partitions.size).toBe(1)
  expect(new Set([...places.values()].flatMap((each) => [...each])).size).toBe(2)
})
