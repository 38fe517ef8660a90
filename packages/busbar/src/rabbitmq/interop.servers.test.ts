/** What Busbar writes is read by the plain client and the `cloudevents` package, and the other way round. */
import { CloudEvent } from 'cloudevents'
import type { ConsumeMessage } from 'amqplib'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { EventBus } from '../bus/index.ts'
import { event, typed } from '../message/index.ts'
import { brokerWith, patience } from './fixtures/messages.ts'
import { type OwnRabbit, plainChannel, startRabbit } from './fixtures/servers.ts'

const OrderPlaced = event('OrderPlaced', typed<{ readonly orderId: string; readonly total: number }>(), {
  subject: ({ orderId }) => orderId,
})

let server: OwnRabbit

beforeAll(async () => {
  server = await startRabbit()
}, 180_000)

afterAll(() => server.end(), 60_000)

async function startedBus(prefix: string): Promise<EventBus> {
  const bus = new EventBus(brokerWith({ url: server.url, prefix }), { source: 'https://shop.example/orders' })
  onTestFinished(() => bus.stop({ deadline: 100 }))
  await bus.start()
  return bus
}

test('what Busbar publishes is a CloudEvent in binary mode for the plain client', async () => {
  const bus = await startedBus('out')
  const channel = await plainChannel(server.url)
  // The exchange of the topic: anybody may bind a queue of their own.
  await channel.assertExchange('out:events', 'topic', { durable: true, alternateExchange: 'out:events::any' })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, 'out:events', '#')
  const received: ConsumeMessage[] = []
  await channel.consume(queue, (one) => void (one !== null && received.push(one)), { noAck: true })
  const sent = OrderPlaced.create({ orderId: 'o-1', total: 42 }, { userId: 'u', tenantId: 'ü' })
  await bus.publish(sent)
  await vi.waitFor(() => expect(received).toHaveLength(1), patience)
  const { content, properties } = received[0] as ConsumeMessage
  expect(properties.contentType).toBe('application/json')
  expect(properties.deliveryMode).toBe(2)
  const headers = properties.headers as Record<string, string>
  const attributes = Object.entries(headers).filter(([name]) => name.startsWith('cloudEvents:'))
  const read = new CloudEvent({
    ...Object.fromEntries(attributes.map(([name, value]) => [name.slice('cloudEvents:'.length), value])),
    type: headers['cloudEvents:type'] ?? '',
    source: headers['cloudEvents:source'] ?? '',
    data: JSON.parse(content.toString()) as unknown,
  })
  expect(read.validate()).toBe(true)
  expect(read).toMatchObject({
    id: sent.id,
    type: 'OrderPlaced',
    source: 'https://shop.example/orders',
    subject: 'o-1',
    specversion: '1.0',
    partitionkey: 'o-1',
    userid: 'u',
    tenantid: 'ü',
    data: { orderId: 'o-1', total: 42 },
  })
})

test('CloudEvents of a plain client reach a handler: binary mode with either prefix, and structured mode', async () => {
  const bus = await startedBus('in')
  const seen = new Map<
    string,
    { readonly data: unknown; readonly source: string; readonly trace: string | undefined }
  >()
  await bus.subscribe(
    OrderPlaced,
    ({ id, data, source, metadata }) => void seen.set(id, { data, source, trace: metadata.traceparent }),
    { group: 'billing' },
  )
  const channel = await plainChannel(server.url)
  const data = { orderId: 'o-2', total: 7 }
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  for (const prefix of ['cloudEvents:', 'cloudEvents_']) {
    const attributes = {
      specversion: '1.0',
      id: prefix,
      type: 'OrderPlaced',
      source: '/plain',
      traceparent,
      dataversion: 1,
    }
    const headers = {
      ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, value])),
      [`${prefix}time`]: { '!': 'timestamp', value: 1_700_000_000 },
    }
    // Whatever routing key: what is no partition goes to the first.
    channel.publish('in:events', 'orders.placed', Buffer.from(JSON.stringify(data)), {
      headers,
      contentType: 'application/json',
    })
  }
  const structured = new CloudEvent({ id: 'structured', type: 'OrderPlaced', source: '/plain', data, traceparent })
  channel.publish('in:events', '2', Buffer.from(JSON.stringify(structured)), {
    contentType: 'application/cloudevents+json; charset=utf-8',
  })
  await vi.waitFor(() => expect(seen.size).toBe(3), patience)
  for (const id of ['cloudEvents:', 'cloudEvents_', 'structured']) {
    expect(seen.get(id)).toEqual({ data, source: '/plain', trace: traceparent })
  }
})
