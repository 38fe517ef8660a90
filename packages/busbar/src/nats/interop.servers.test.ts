/** Both ways between Busbar and programs that know CloudEvents and NATS, and nothing of Busbar. */
import { jetstream } from '@nats-io/jetstream'
import { connect, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { CloudEvent, HTTP } from 'cloudevents'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { createEventBus, event, type EventBus, type Message, silentLogger, typed } from '../index.ts'
import { patience, silent } from './fixtures/messages.ts'
import { sharedNats } from './fixtures/servers.ts'
import { NatsBroker } from './index.ts'

interface Order {
  readonly total: number
  readonly note: string
}

const OrderPlaced = event('OrderPlaced', typed<Order>(), { topic: 'orders', version: 2 })

let shared: Awaited<ReturnType<typeof sharedNats>>
let plain: NatsConnection

beforeAll(async () => {
  shared = await sharedNats()
  plain = await connect({ servers: shared.server.url })
})

afterAll(async () => {
  await plain.close()
  await shared.end()
})

async function busOn(prefix: string): Promise<EventBus> {
  const broker = new NatsBroker({ servers: shared.server.url, prefix, logger: silent })
  const bus = await createEventBus({ broker, source: '/shop', logger: silentLogger })
  onTestFinished(() => bus.stop())
  return bus
}

/** The headers of a NATS message as the SDK takes them. */
function asRecord(set: MsgHdrs | undefined): Record<string, string> {
  return Object.fromEntries([...(set?.keys() ?? [])].map((name) => [name.toLowerCase(), set?.get(name) ?? '']))
}

function asHeaders(record: Readonly<Record<string, unknown>>): MsgHdrs {
  const set = headers()
  for (const [name, value] of Object.entries(record)) set.append(name, String(value))
  return set
}

test('what Busbar writes is a CloudEvent for the plain client and the cloudevents package', async () => {
  const bus = await busOn('out')
  const placed = OrderPlaced.create({ total: 42, note: 'Grüße' }, { tenantId: 't1' }, { subject: 'o-1' })
  await bus.publish(placed)
  const consumer = await jetstream(plain).consumers.get('out_t_orders')
  const stored = await consumer.next({ expires: 10_000 })
  const read = HTTP.toEvent<Order>({ headers: asRecord(stored?.headers), body: stored?.string() }) as CloudEvent<Order>
  expect(read.validate()).toBe(true)
  expect(read).toMatchObject({
    specversion: '1.0',
    id: placed.id,
    type: 'OrderPlaced',
    source: '/shop',
    subject: 'o-1',
    partitionkey: 'o-1',
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
  const binary = new CloudEvent<Order>({ ...about, id: 'binary', data: { total: 1, note: 'a' } })
  const structured = new CloudEvent<Order>({ ...about, id: 'structured', data: { total: 2, note: 'b' } })
  for (const { headers: set, body } of [HTTP.binary(binary), HTTP.structured(structured)]) {
    const ack = await jetstream(plain).publish('in.t.orders.0', body as string, { headers: asHeaders(set) })
    expect(ack.stream).toBe('in_t_orders')
  }
  await vi.waitFor(() => expect(seen).toHaveLength(2), patience)
  for (const [index, id] of ['binary', 'structured'].entries()) {
    expect(seen[index]).toMatchObject({
      id,
      type: 'OrderPlaced',
      source: '/legacy',
      subject: 'o-7',
      version: 2,
      time: new Date('2026-01-02T03:04:05.000Z'),
      data: { total: index + 1 },
    })
  }
})

test('a partition that nobody reads takes nothing from a plain client', async () => {
  const bus = await busOn('range')
  await bus.publish(OrderPlaced.create({ total: 1, note: '' }))
  await expect(jetstream(plain).publish('range.t.orders.8', '{}')).rejects.toThrow(/no responders|not enabled/i)
})
