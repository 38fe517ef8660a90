/** The hazards of NATS, over a server of this test's own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, headers } from '@nats-io/transport-node'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import type { Delivery, SubscriptionSpec } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import { NatsBroker } from './index.ts'

let folder: string
let server: OwnServer
const silent = { warn() {}, error() {} }
const patience = { timeout: 40_000, interval: 20 }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-nats-'))
  server = await startServer('nats', { dataDir: folder, durable: true })
})

afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

function message(id: string, key = 'k'): EncodedMessage {
  return {
    id,
    type: 'T',
    kind: 'event',
    source: 'test',
    key,
    time: new Date(),
    version: 1,
    metadata: { correlationId: id },
    contentType: 'application/json',
    body: JSON.stringify(id),
  }
}

async function started(prefix: string): Promise<NatsBroker> {
  const broker = new NatsBroker({ servers: server.url, prefix, logger: silent })
  await broker.start()
  return broker
}

function spec(topic: string): SubscriptionSpec {
  return { group: 'g', topics: [topic], broadcast: false, prefetch: 10, from: 'earliest', onFailure: 'continue' }
}

test('server killed with -9: nothing confirmed is lost, order holds, and everything goes on by itself', async () => {
  const broker = await started('killed')
  const seen: string[] = []
  await broker.subscribe(spec('orders'), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  const confirmed: string[] = []
  const publish = async (id: string): Promise<void> => {
    await broker.publish([{ topic: 'orders', message: message(id) }]).then(
      () => confirmed.push(id),
      () => undefined,
    )
  }
  for (let n = 0; n < 50; n++) await publish(`a${n}`)
  await server.kill9()
  const during = publish('during')
  await server.restart()
  await during
  await vi.waitFor(() => broker.ping(), patience)
  for (let n = 0; n < 50; n++) await publish(`b${n}`)
  expect(confirmed.length).toBeGreaterThanOrEqual(100)
  await vi.waitFor(() => expect(new Set(seen)).toEqual(new Set([...confirmed, ...seen])), patience)
  const first = [...new Set(seen)].filter((id) => confirmed.includes(id) && id !== 'during')
  expect(first).toEqual(confirmed.filter((id) => id !== 'during'))
  await broker.stop()
})

test('the same message id within the duplicate window is kept once', async () => {
  const broker = await started('twice')
  const one = { topic: 'orders', message: message('same') }
  await broker.publish([one])
  await broker.publish([one])
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: 1 }])
  await broker.stop()
})

test('foreign garbage goes to the dead letters as raw bytes, and the consumer goes on', async () => {
  const broker = await started('garbage')
  const seen: string[] = []
  await broker.subscribe(spec('orders'), (delivery) => {
    seen.push(delivery.message.id)
    return { ack: true }
  })
  const plain = await connect({ servers: server.url })
  await plain.request('garbage.t.orders.0', 'no event at all')
  await plain.close()
  await broker.publish([{ topic: 'orders', message: message('good') }])
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'g' })).toBe(1), patience)
  await vi.waitFor(() => expect(seen).toEqual(['good']), patience)
  const [letter] = await broker.deadLetters.list()
  expect(letter?.failure.reason).toBe('undecodable')
  expect(Buffer.from(letter?.message.body as Uint8Array).toString()).toBe('no event at all')
  await broker.stop()
})

test('what a plain client writes as CloudEvents, in binary and structured mode, is read', async () => {
  const broker = await started('plain')
  const seen: Delivery[] = []
  await broker.subscribe(spec('orders'), (delivery) => {
    seen.push(delivery)
    return { ack: true }
  })
  const client = await connect({ servers: server.url })
  const binary = headers()
  for (const [name, value] of [
    ['ce-specversion', '1.0'],
    ['ce-id', 'b'],
    ['ce-type', 'T'],
    ['ce-source', '/x'],
    ['content-type', 'application/json'],
  ] as const) {
    binary.set(name, value)
  }
  await client.request('plain.t.orders.0', '{"n":1}', { headers: binary, timeout: 5_000 })
  const structured = headers()
  structured.set('content-type', 'application/cloudevents+json')
  const event = { specversion: '1.0', id: 's', type: 'T', source: '/x', data: { n: 2 } }
  await client.request('plain.t.orders.0', JSON.stringify(event), { headers: structured, timeout: 5_000 })
  await client.close()
  await vi.waitFor(() => expect(seen).toHaveLength(2), patience)
  expect(seen.map(({ message: { id, body } }) => [id, body])).toEqual([
    ['b', '{"n":1}'],
    ['s', '{"n":2}'],
  ])
  await broker.stop()
})

test('a stream that exists with other settings is told by verify', async () => {
  const broker = await started('settings')
  await broker.publish([{ topic: 'orders', message: message('one') }])
  expect(await broker.verify()).toEqual([])
  const other = new NatsBroker({ servers: server.url, prefix: 'settings', maxAge: 60_000, logger: silent })
  await other.start()
  const differences = await other.verify()
  expect(differences.map(({ stream, setting }) => `${stream} ${setting}`)).toContain('settings_t_orders max_age')
  await other.stop()
  await broker.stop()
})
