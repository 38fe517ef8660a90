/** The hazards of Kafka, each with what is done about it, over a server of this test's own. */
import { Admin, Producer } from '@platformatic/kafka'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Delivery, Verdict } from '../broker/index.ts'
import { brokerWith, message, order, patience, spec, started } from './fixtures/messages.ts'
import { startKafka } from './fixtures/servers.ts'

let own: Awaited<ReturnType<typeof startKafka>>
let bootstrapBrokers: string[]
const ack: Verdict = { ack: true }

beforeAll(async () => {
  own = await startKafka(true)
  bootstrapBrokers = [own.brokers.replace('kafka://', '')]
})

afterAll(() => own?.end())

/** The place of the group as Kafka's own tools see it: one offset for each partition. */
async function committed(group: string): Promise<{ readonly offset: number; readonly metadata: string }[]> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers })
  try {
    const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
    return (found?.topics ?? []).flatMap(({ partitions }) =>
      partitions.map(({ committedOffset, metadata }) => ({
        offset: Number(committedOffset),
        metadata: metadata ?? '',
      })),
    )
  } finally {
    await admin.close()
  }
}

/** A place where deliveries wait until they are let go. */
function holding(): {
  readonly seen: Delivery[]
  readonly deliver: (one: Delivery) => Promise<Verdict>
  release(id: string): void
} {
  const seen: Delivery[] = []
  const waiting = new Map<string, (verdict: Verdict) => void>()
  return {
    seen,
    deliver: (one) => {
      seen.push(one)
      return new Promise((resolve) => waiting.set(one.message.id, resolve))
    },
    release: (id) => waiting.get(id)?.(ack),
  }
}

test('commit of only what is settled without a gap: what is settled behind a slow message is told beside it and never comes again', async () => {
  const prefix = `gap${Date.now().toString(36)}`
  const first = await started({ brokers: own.brokers, prefix, partitions: 1 })
  await first.publish(['a', 'b', 'c'].map((id) => order(id, { key: id })))
  const held = holding()
  await first.subscribe(spec(), held.deliver)
  await vi.waitFor(() => expect(held.seen).toHaveLength(3), patience)
  held.release('b')
  held.release('c')
  await vi.waitFor(async () => expect((await first.metrics()).groups[0]?.lag).toBe(1), patience)
  expect(await committed(`${prefix}.g`)).toMatchObject([{ offset: 0 }])
  await first.stop({ deadline: 0 })
  const seen: string[] = []
  const second = await started({ brokers: own.brokers, prefix })
  await second.publish([order('d')])
  await second.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  await vi.waitFor(() => expect(seen).toEqual(['a', 'd']), patience)
  await vi.waitFor(async () => expect(await committed(`${prefix}.g`)).toMatchObject([{ offset: 4 }]), patience)
})

test('poison never blocks its partition', async () => {
  const broker = await started({ brokers: own.brokers, partitions: 1 })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id }, redeliveries, attempts }) => {
    seen.push(id)
    if (id !== 'poison') return ack
    const at = { attempts: attempts + 1, firstFailedAt: Date.now() }
    if (redeliveries < 1) return { redeliver: { after: 3_000, ...at } }
    const error = { name: 'Error', message: 'poison' }
    return { deadLetter: { reason: 'failed', error, handler: 'test', lastFailedAt: Date.now(), ...at } }
  })
  await broker.publish([order('poison'), order('next'), order('last')])
  await vi.waitFor(() => expect(seen).toEqual(['poison', 'next', 'last']), patience)
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'g' })).toBe(1), patience)
  expect(seen).toEqual(['poison', 'next', 'last', 'poison'])
})

test('slow handlers: a handler of twice the session timeout keeps its partition, because heartbeats do not wait for it', async () => {
  const broker = await started({ brokers: own.brokers, partitions: 1 })
  const held = holding()
  await broker.subscribe(spec(), held.deliver)
  await broker.publish([order('slow')])
  await vi.waitFor(() => expect(held.seen).toHaveLength(1), patience)
  const other = holding()
  await broker.subscribe(spec(), other.deliver)
  const until = performance.now() + 12_500
  await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(until), patience)
  expect(held.seen[0]?.signal.aborted).toBe(false)
  held.release('slow')
  await vi.waitFor(async () => expect((await broker.metrics()).groups[0]?.lag).toBe(0), patience)
  expect(held.seen.length + other.seen.length).toBe(1)
})

test('drain on revoke: a newcomer gets its partitions, but none before what is out of it has settled, and the others go on', async () => {
  const prefix = `drain${Date.now().toString(36)}`
  const old = await started({ brokers: own.brokers, prefix, partitions: 2 })
  const held = holding()
  await old.subscribe(spec(), held.deliver)
  // One message for each partition, and one behind each.
  const keys = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']
  await old.publish(keys.flatMap((key) => [order(`${key}-1`, { key }), order(`${key}-2`, { key })]))
  await vi.waitFor(() => expect(held.seen.length).toBeGreaterThanOrEqual(10), patience)
  const newcomer = await started({ brokers: own.brokers, prefix })
  const seen: string[] = []
  await newcomer.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  await old.publish([order('later', { key: 'k0' })])
  expect(seen).toEqual([])
  for (const { message: one } of held.seen) held.release(one.id)
  await vi.waitFor(async () => {
    for (const { message: one } of held.seen) held.release(one.id)
    await newcomer.publish(keys.map((key) => order(`${key}-${Date.now()}`, { key })))
    expect(seen.length).toBeGreaterThan(0)
  }, patience)
  const twice = held.seen.map(({ message: one }) => one.id).filter((id) => seen.includes(id))
  expect(twice).toEqual([])
})

test('no commit for a partition that was lost: a late verdict changes nothing, and its signal is aborted', async () => {
  const prefix = `lost${Date.now().toString(36)}`
  const late = brokerWith({ brokers: own.brokers, prefix, partitions: 1 })
  await late.start()
  const held = holding()
  await late.subscribe(spec(), held.deliver)
  await late.publish([order('one')])
  await vi.waitFor(() => expect(held.seen).toHaveLength(1), patience)
  // As if its session had timed out: the group goes on without it.
  const admin = new Admin({ clientId: 'test', bootstrapBrokers })
  const groups = await admin.describeGroups({ groups: [`${prefix}.g`] })
  const members = [...(groups.get(`${prefix}.g`)?.members.keys() ?? [])]
  expect(members).toHaveLength(1)
  await admin.removeMembersFromConsumerGroup({
    groupId: `${prefix}.g`,
    members: members.map((memberId) => ({ memberId })),
  })
  await admin.close()
  await vi.waitFor(() => expect(held.seen[0]?.signal.aborted).toBe(true), patience)
  // It comes again, to the same process as a new member, and counts as begun.
  await vi.waitFor(() => expect(held.seen).toHaveLength(2), patience)
  expect(held.seen[1]?.attempts).toBeGreaterThanOrEqual(1)
  held.release('one')
  await vi.waitFor(async () => expect((await late.metrics()).groups[0]?.lag).toBe(0), patience)
})

test('pause at back-pressure: no more than a window and a little read ahead is in memory, whatever the backlog', async () => {
  const broker = await started({ brokers: own.brokers, partitions: 1, fetchBytes: 10_000 })
  for (let n = 0; n < 5; n++)
    await broker.publish(Array.from({ length: 200 }, (_, m) => order(`${n}-${m}`, { body: 'x'.repeat(1_000) })))
  const held = holding()
  await broker.subscribe(spec({ prefetch: 3 }), held.deliver)
  await vi.waitFor(() => expect(held.seen).toHaveLength(3), patience)
  const before = held.seen.map(({ message: one }) => one.id)
  await broker.ping()
  expect(held.seen.map(({ message: one }) => one.id)).toEqual(before)
  held.release('0-1')
  await vi.waitFor(() => expect(held.seen).toHaveLength(4), patience)
})

test('idempotent producer: the server killed with -9 again and again loses, doubles and reorders nothing that was confirmed', async () => {
  const broker = await started({ brokers: own.brokers, partitions: 1 })
  const sent: Promise<string>[] = []
  let n = 0
  const publish = (): void => {
    const id = `m${n++}`
    sent.push(broker.publish([order(id)]).then(() => id))
  }
  for (let round = 0; round < 2; round++) {
    for (let m = 0; m < 50; m++) publish()
    await own.server.kill9()
    for (let m = 0; m < 50; m++) publish()
    await own.server.restart()
  }
  const confirmed = await Promise.all(sent)
  const seen: string[] = []
  await broker.subscribe(spec({ prefetch: 100 }), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  await vi.waitFor(() => expect(seen).toHaveLength(confirmed.length), patience)
  expect(seen).toEqual(confirmed)
})

test('foreign garbage goes to the dead letters as raw bytes, and the consumer goes on', async () => {
  const broker = await started({ brokers: own.brokers, prefix: 'garbage', partitions: 1 })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  const topic = 'garbage.orders'
  const plain = new Producer({ clientId: 'plain', bootstrapBrokers })
  const bytes = Buffer.from([0, 1, 2, 255])
  await plain.send({ messages: [{ topic, partition: 0, value: bytes, key: Buffer.from('k') }] })
  await plain.close()
  await broker.publish([order('good')])
  await vi.waitFor(() => expect(seen).toEqual(['good']), patience)
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'g' })).toBe(1), patience)
  const [letter] = await broker.deadLetters.list()
  expect(letter?.failure.reason).toBe('undecodable')
  expect(Buffer.from(letter?.message.body as Uint8Array)).toEqual(bytes)
})

test('transactions of other programs: what was aborted is never handed out, what was committed is', async () => {
  const broker = await started({ brokers: own.brokers, prefix: 'txn', partitions: 1 })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  const topic = 'txn.orders'
  const plain = new Producer({ clientId: 'plain', bootstrapBrokers, idempotent: true, transactionalId: topic })
  for (const [id, end] of [
    ['aborted', 'abort'],
    ['committed', 'commit'],
  ] as const) {
    const transaction = await plain.beginTransaction()
    const attributes = { ce_specversion: '1.0', ce_id: id, ce_type: 't', ce_source: '/s' }
    const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, Buffer.from(value)]))
    const bytes = new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), value]))
    await transaction.send({ messages: [{ topic, partition: 0, value: Buffer.from('1'), headers: bytes }] })
    await transaction[end]()
  }
  await plain.close()
  await broker.publish([{ topic: 'orders', message: message('after') }])
  await vi.waitFor(() => expect(seen).toEqual(['committed', 'after']), patience)
  // The marks of transactions are no messages, and hold nothing back.
  await vi.waitFor(async () => expect((await broker.metrics()).groups[0]?.lag).toBe(0), patience)
})

test('offsets that are gone: a group behind the retention goes on with what is still there', async () => {
  const prefix = `gone${Date.now().toString(36)}`
  const first = await started({ brokers: own.brokers, prefix, partitions: 1 })
  await (await first.subscribe(spec(), () => ack)).stop()
  await first.publish([order('old'), order('older'), order('new')])
  const admin = new Admin({ clientId: 'test', bootstrapBrokers })
  await admin.deleteRecords({ topics: [{ name: `${prefix}.orders`, partitions: [{ partition: 0, offset: 2n }] }] })
  await admin.close()
  const seen: string[] = []
  await first.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return ack
  })
  await vi.waitFor(() => expect(seen).toEqual(['new']), patience)
})

test('a broadcast has no group to come back to: a redrive reaches the member that failed all the same', async () => {
  const prefix = `broadcast${Date.now().toString(36)}`
  const broker = await started({ brokers: own.brokers, prefix, partitions: 1 })
  const seen: string[] = []
  await broker.subscribe(
    spec({ group: 'screens', broadcast: true, from: 'latest' }),
    ({ message: { id }, attempts }) => {
      seen.push(id)
      if (seen.length > 1) return ack
      const error = { name: 'Error', message: 'the test says so' }
      const when = { firstFailedAt: 1, lastFailedAt: 2 }
      return { deadLetter: { reason: 'failed', error, handler: 'test', attempts: attempts + 1, ...when } }
    },
  )
  await broker.publish([order('one')])
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'screens' })).toBe(1), patience)
  expect(await broker.deadLetters.redrive({ group: 'screens' })).toBe(1)
  await vi.waitFor(() => expect(seen).toEqual(['one', 'one']), patience)
  expect(await broker.deadLetters.count()).toBe(0)
})

test('a redrive asked for by two programs at once brings a letter back once', async () => {
  const prefix = `twice${Date.now().toString(36)}`
  const one = await started({ brokers: own.brokers, prefix, partitions: 1 })
  const other = await started({ brokers: own.brokers, prefix, partitions: 1 })
  const seen: string[] = []
  await one.subscribe(spec(), ({ message: { id }, attempts }) => {
    seen.push(id)
    if (seen.length > 5) return ack
    const error = { name: 'Error', message: 'the test says so' }
    const when = { firstFailedAt: 1, lastFailedAt: 2 }
    return { deadLetter: { reason: 'failed', error, handler: 'test', attempts: attempts + 1, ...when } }
  })
  await one.publish(['a', 'b', 'c', 'd', 'e'].map((id) => order(id)))
  await vi.waitFor(async () => expect(await other.deadLetters.count({ group: 'g' })).toBe(5), patience)
  await Promise.all([one, other].map((broker) => broker.deadLetters.redrive({ group: 'g' })))
  await vi.waitFor(() => expect(seen).toHaveLength(10), patience)
  await one.publish([order('last')])
  await vi.waitFor(() => expect(seen.at(-1)).toBe('last'), patience)
  expect(seen.toSorted()).toEqual(['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd', 'e', 'e', 'last'])
})

test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
  'batches compressed with %s are written and read',
  async (compression) => {
    const broker = await started({ brokers: own.brokers, compression, partitions: 1 })
    const sent = Array.from({ length: 20 }, (_, n) => order(`${n}`, { body: JSON.stringify('ä'.repeat(500 + n)) }))
    await broker.publish(sent)
    const seen: unknown[] = []
    await broker.subscribe(spec(), ({ message: { body } }) => {
      seen.push(body)
      return ack
    })
    await vi.waitFor(() => expect(seen).toEqual(sent.map((each) => each.message.body)), patience)
  },
)
