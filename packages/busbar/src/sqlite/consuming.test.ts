import { expect, test } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import { UnsupportedError } from '../broker/index.ts'
import { EncodeError } from '../message/errors.ts'
import {
  collect,
  eventually,
  gate,
  message,
  numbered,
  outgoing,
  scratchFile,
  spec,
  started,
} from './fixtures/scratch.ts'

test('a new group begins at the end or at the beginning, once; afterwards where it was', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish(numbered(5, 5))
  const latest = await collect(broker, { group: 'latest', from: 'latest' })
  const earliest = await collect(broker, { group: 'earliest', from: 'earliest' })
  await broker.publish(numbered(3, 3))
  await eventually(() => latest.deliveries.length === 3 && earliest.deliveries.length === 8, 'both groups')
  await latest.stop()
  await broker.publish(numbered(2, 2))
  const again = await collect(broker, { group: 'latest', from: 'latest' })
  await eventually(() => again.deliveries.length === 2, 'what came while the group was away')
  await eventually(() => earliest.deliveries.length === 10, 'the other group')
  expect(latest.deliveries.length).toBe(3)
})

test('what a message is made of comes back as it was: absent stays absent, bytes stay bytes', async () => {
  const broker = await started({ file: scratchFile() })
  const full = message({
    subject: 'order-1',
    key: 'clé 😀',
    version: 3,
    revision: 0,
    priority: 'low',
    metadata: { correlationId: 'c', causationId: 'b', 'x-Ünïcode': 'ja\u0000\ud800\nnein', __proto__note: 'x' },
    body: '',
  })
  const bytes = message({ body: new Uint8Array(0), contentType: 'application/octet-stream' })
  await broker.publish([
    { topic: 'orders', message: full },
    { topic: 'orders', message: bytes },
  ])
  const { deliveries } = await collect(broker)
  await eventually(() => deliveries.length === 2, 'both')
  const found = (id: string): unknown => deliveries.find((one) => one.message.id === id)?.message
  expect(found(full.id)).toStrictEqual(full)
  expect(found(bytes.id)).toStrictEqual(bytes)
})

test.for(['id', 'type', 'source', 'subject', 'key', 'body'] as const)(
  'text that would not come back as it was is refused, not changed: %s',
  async (attribute) => {
    const broker = await started({ file: scratchFile() })
    for (const text of ['a\u0000b', 'a\ud800b']) {
      await expect(broker.publish([outgoing(), outgoing({ [attribute]: text })])).rejects.toThrow(EncodeError)
      await expect(broker.publish([outgoing({ [attribute]: text })])).rejects.toThrow(attribute)
    }
    expect((await broker.metrics()).topics).toEqual([])
  },
)

test('prefetch bounds what is out, and large messages are read a few at a time', async () => {
  const broker = await started({ file: scratchFile() })
  const large = 'x'.repeat(3 * 1024 * 1024)
  for (let n = 0; n < 12; n++) await broker.publish([outgoing({ key: 'k', body: large })])
  const hold = gate<Verdict>()
  const member = await collect(broker, { prefetch: 10 }, () => hold.opened)
  await eventually(() => member.deliveries.length === 10, 'a full window')
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(member.deliveries.length).toBe(10)
  hold.open({ ack: true })
  await eventually(() => member.deliveries.length === 12, 'the rest')
})

test('a message that is released comes again, in its place', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish(numbered(3, 1))
  let releases = 2
  const member = await collect(broker, { prefetch: 1 }, () => (releases-- > 0 ? { release: true } : { ack: true }))
  await eventually(() => member.deliveries.length === 5, 'five deliveries')
  expect(member.bodies).toEqual(['0', '0', '0', '1', '2'])
  expect(member.deliveries.every((one) => one.attempts === 0)).toBe(true)
})

test('deleteGroup is refused while the group has members, and forgets where it was', async () => {
  const file = scratchFile()
  const [broker, other] = [await started({ file }), await started({ file })]
  await broker.publish(numbered(4, 4))
  const member = await collect(broker)
  await eventually(() => member.deliveries.length === 4, 'four deliveries')
  await expect(other.deleteGroup('billing')).rejects.toThrow('group billing has 1 members')
  await member.stop()
  await other.deleteGroup('billing')
  expect((await other.metrics()).groups).toEqual([])
  const again = await collect(broker)
  await eventually(() => again.deliveries.length === 4, 'all of them anew')
})

test('a broadcast member cannot park, and says so', async () => {
  const broker = await started({ file: scratchFile() })
  const wanted = spec({ broadcast: true, onFailure: 'park' })
  await expect(broker.subscribe(wanted, () => ({ ack: true }))).rejects.toThrow(UnsupportedError)
})

test('a broadcast member gets its redeliveries, its releases and no message of before', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish([outgoing({ body: 'before' })])
  const verdicts: Verdict[] = [{ redeliver: { after: 1, attempts: 1, firstFailedAt: 9 } }, { release: true }]
  const member = await collect(broker, { broadcast: true, prefetch: 1 }, () => verdicts.shift() ?? { ack: true })
  await broker.publish([outgoing({ body: 'a' })])
  await eventually(() => member.deliveries.length === 3, 'three deliveries')
  expect(member.bodies).toEqual(['a', 'a', 'a'])
  expect(member.deliveries[1]).toMatchObject({ attempts: 1, redeliveries: 1, firstFailedAt: 9 })
})

test('a private database in memory works like a file', async () => {
  const broker = await started({ file: ':memory:' })
  expect(broker.capabilities).toMatchObject({ durable: false, multiProcess: false })
  const { deliveries } = await collect(broker)
  await broker.publish(numbered(50, 5))
  await eventually(() => deliveries.length === 50, '50 deliveries')
})
