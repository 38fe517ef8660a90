import { expect, test } from 'vitest'
import { ConcurrencyError, DuplicateEventError, StreamDeletedError } from '../store/index.ts'
import { all, event, storageOf, to } from './fixtures/events.ts'
import { collect, eventually, numbered, quiet, scratchFile, started, StillClock, textOf } from './fixtures/scratch.ts'
import { SqliteBroker, SqliteEventStorage } from './index.ts'

test('events come back as they were given, in order, with their place', async () => {
  const storage = await storageOf()
  const bytes = event({ body: new Uint8Array([0, 1]), metadata: { correlationId: 'c', tenantId: 't' } })
  const events = [event({ body: '1', key: 'k' }), bytes, event({ revision: 7, priority: 'high', subject: 's' })]
  const [first] = await storage.append(to('order-1', events.slice(0, 2), 'none'))
  const [second] = await storage.append(to('order-1', events.slice(2), 1))
  expect([first?.revision, second?.revision]).toEqual([1, 2])
  const read = await all(storage.readStream('order-1'))
  expect(read.map((one) => one.message)).toEqual(events.map((one) => one.message))
  expect(read.map((one) => one.revision)).toEqual([0, 1, 2])
  expect(read.at(-1)?.position).toBe(second?.position)
  expect(await all(storage.readAll())).toEqual(read)
  const backwards = await all(storage.readStream('order-1', { direction: 'backwards', limit: 2 }))
  expect(backwards).toEqual(read.toReversed().slice(0, 2))
  expect(await all(storage.readStream('order-1', { from: 1, to: 1 }))).toEqual([read[1]])
  expect(await all(storage.readByCorrelation('c'))).toEqual([read[1]])
  expect(await storage.head()).toEqual({ position: second?.position, count: 3 })
})

test('more than a page is read in order, by stream, by types and categories, and from a place in the middle', async () => {
  const storage = await storageOf()
  const types = ['A', 'B', 'C']
  for (let n = 0; n < 30; n++) {
    const events = Array.from({ length: 100 }, (_, i) =>
      event({ type: types[i % 3] as string, body: String(n * 100 + i) }),
    )
    await storage.append(to(n % 2 === 0 ? 'even-1' : `odd-${n}`, events))
  }
  const whole = await all(storage.readAll())
  expect(whole.map((one) => Number(one.message.body))).toEqual(Array.from({ length: 3_000 }, (_, n) => n))
  expect((await all(storage.readStream('even-1'))).map((one) => one.revision)).toEqual(
    Array.from({ length: 1_500 }, (_, n) => n),
  )
  const some = await all(storage.readAll({ types: ['C', 'A', 'missing'] }))
  expect(some).toEqual(whole.filter((one) => one.message.type !== 'B'))
  const both = await all(
    storage.readAll({ types: ['B'], categories: ['odd', 'none'], after: whole[1_000]?.position ?? '', limit: 5 }),
  )
  expect(both).toEqual(
    whole
      .slice(1_001)
      .filter((one) => one.message.type === 'B' && one.stream.startsWith('odd'))
      .slice(0, 5),
  )
  expect(await all(storage.readAll({ types: [] }))).toEqual([])
})

test('large events are read in pages that fit into memory', async () => {
  const storage = await storageOf()
  const body = 'x'.repeat(3 * 1024 * 1024)
  for (let n = 0; n < 5; n++) await storage.append(to('large-1', [event({ body }), event({ body: String(n) })]))
  const read = await all(storage.readStream('large-1'))
  expect(read.map((one) => textOf(one).length)).toEqual(
    Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? body.length : 1)),
  )
})

test('of appends that are called at once each has its own outcome, in the order of the calls', async () => {
  const storage = await storageOf()
  const [known] = [event({ body: 'known' })]
  await storage.append(to('a-1', [known], 'none'))
  await storage.append(to('gone-1', [event()]))
  await storage.deleteStream('gone-1')
  const outcomes = await Promise.allSettled([
    storage.append(to('a-1', [event({ body: '1' })], 0)),
    storage.append(to('a-1', [event({ body: 'late' })], 0)),
    storage.append(to('a-1', [known], 'none')),
    storage.append(to('b-1', [event(), known])),
    storage.append(to('gone-1', [event()])),
    storage.append(to('b-1', [event({ body: 'b' })], 'none')),
    storage.append(to('a-1', [event({ body: '2' }), event({ body: '3' })], 1)),
  ])
  const told = outcomes.map((one) => (one.status === 'fulfilled' ? one.value[0] : (one.reason as Error).constructor))
  expect(told).toMatchObject([
    { stream: 'a-1', revision: 1, repeated: false },
    ConcurrencyError,
    { stream: 'a-1', revision: 0, repeated: true },
    DuplicateEventError,
    StreamDeletedError,
    { stream: 'b-1', revision: 0, repeated: false },
    { stream: 'a-1', revision: 3, repeated: false },
  ])
  expect((await all(storage.readStream('a-1'))).map((one) => one.message.body)).toEqual(['known', '1', '2', '3'])
})

test('one event whose id is in the store is found where all else is as expected, and no stream is begun or moved for it', async () => {
  const storage = await storageOf()
  const [known, forgotten] = [event({ body: 'known' }), event({ body: 'forgotten' })]
  await storage.append(to('a-1', [known], 'none'))
  await storage.append(to('a-2', [forgotten], 'none'))
  await storage.deleteStream('a-2')
  const outcomes = await Promise.allSettled([
    storage.append(to('b-1', [known], 'none')),
    storage.append(to('b-2', [forgotten], 'any')),
    storage.append(to('a-2', [event()], 0)),
    storage.append(to('a-2', [event()], 'none')),
    storage.append(to('a-1', [known], 0)),
    storage.append(to('a-1', [event({ body: 'next' })], 0)),
  ])
  const told = outcomes.map((one) => (one.status === 'fulfilled' ? one.value[0] : (one.reason as Error).constructor))
  const last = (await all(storage.readStream('a-1'))).at(-1)
  expect(told).toEqual([
    DuplicateEventError,
    DuplicateEventError,
    StreamDeletedError,
    StreamDeletedError,
    expect.objectContaining({ stream: 'a-1', revision: 0, repeated: true }),
    { stream: 'a-1', revision: 1, position: last?.position, repeated: false },
  ])
  expect((await storage.info('b-1')).revision).toBe(-1)
  expect((await storage.info('b-2')).revision).toBe(-1)
  expect(last?.message.body).toBe('next')
})

test('several streams in one append are all written or none', async () => {
  const storage = await storageOf()
  await storage.append(to('a-1', [event()]))
  const wrong = [...to('b-1', [event()], 'none'), ...to('a-1', [event()], 'none')]
  await expect(storage.append(wrong)).rejects.toThrow(ConcurrencyError)
  expect((await storage.info('b-1')).revision).toBe(-1)
  const right = [...to('b-1', [event(), event()], 'none'), ...to('a-1', [event()], 0)]
  expect(await storage.append(right)).toMatchObject([
    { stream: 'b-1', revision: 1 },
    { stream: 'a-1', revision: 1 },
  ])
  expect(await storage.append(right)).toMatchObject([
    { revision: 1, repeated: true },
    { revision: 1, repeated: true },
  ])
  expect((await storage.head()).count).toBe(4)
})

test('an appended event reaches the groups on the same database by the same commit, in order by key; plain messages are no events', async () => {
  const broker = await started({ file: scratchFile() })
  const storage = await storageOf({ broker })
  const { bodies } = await collect(broker)
  await broker.publish(numbered(10, 2))
  await Promise.all(
    Array.from({ length: 10 }, (_, n) => storage.append(to('order-1', [event({ key: 'order-1', body: `e${n}` })]))),
  )
  await eventually(() => bodies.length === 20, 'all of them')
  const ofStream = bodies.filter((body) => body.startsWith('e'))
  expect(ofStream).toEqual(Array.from({ length: 10 }, (_, n) => `e${n}`))
  expect(await all(storage.readAll())).toHaveLength(10)
  expect((await storage.head()).count).toBe(10)
})

test('retention keeps events and deletes the plain messages between them, looking at none twice', async () => {
  const clock = new StillClock()
  const broker = await started({ file: scratchFile(), clock, retention: { maxAge: 100 }, partitions: 1 })
  const storage = await storageOf({ broker })
  for (let n = 0; n < 3; n++) {
    await storage.append(
      to(
        'order-1',
        Array.from({ length: 600 }, () => event()),
      ),
    )
    await broker.publish(numbered(10, 2))
  }
  const depth = async (): Promise<number> => (await broker.metrics()).topics[0]?.depth ?? 0
  expect(await depth()).toBe(1_830)
  await eventually(async () => {
    clock.time += 1_000
    return (await depth()) === 1_800
  }, 'plain messages to be deleted')
  expect(await all(storage.readAll())).toHaveLength(1_800)
  await broker.publish(numbered(10, 2))
  await eventually(async () => {
    clock.time += 1_000
    return (await depth()) === 1_800
  }, 'those that came later, too')
})

test('events of a deleted stream are gone for readers, go to groups that have not settled them, and then leave the file', async () => {
  const clock = new StillClock()
  const broker = await started({ file: scratchFile(), clock, retention: { maxAge: 100 } })
  const storage = await storageOf({ broker })
  const events = [event({ body: '1', key: 'k' }), event({ body: '2', key: 'k' })]
  await (await collect(broker)).stop()
  await storage.append(to('order-1', events))
  await storage.append(to('order-2', [event()]))
  const deleted = await storage.deleteStream('order-1', { expected: 1, by: 'ada' })
  expect(deleted).toEqual({ stream: 'order-1', revision: 1, first: 2, deletedAt: clock.time, deletedBy: 'ada' })
  expect(await storage.info('order-1')).toEqual(deleted)
  expect(await storage.deleteStream('order-1')).toEqual(deleted)
  expect(await all(storage.readStream('order-1'))).toEqual([])
  expect((await all(storage.readAll())).map((one) => one.stream)).toEqual(['order-2'])
  expect((await storage.head()).count).toBe(1)
  await expect(storage.append(to('order-1', [event()]))).rejects.toThrow(StreamDeletedError)
  await expect(storage.append(to('order-1', events)), 'a late repetition').resolves.toMatchObject([
    { revision: 1, repeated: true },
  ])
  await expect(storage.deleteStream('never-1')).rejects.toThrow(ConcurrencyError)
  const { bodies } = await collect(broker)
  await eventually(() => bodies.length === 3, 'deliveries of what was deleted meanwhile')
  expect(bodies.filter((body) => body !== '{}')).toEqual(['1', '2'])
  await eventually(
    async () => ((await broker.metrics()).topics[0]?.depth ?? 0) === 1,
    'only the other stream to be left',
  )
})

test('what is before a revision can be forgotten; revisions and ids stay', async () => {
  const storage = await storageOf()
  const events = Array.from({ length: 2_500 }, (_, n) => event({ body: String(n) }))
  await storage.append(to('order-1', events))
  expect(await storage.truncateBefore('order-1', 2_200)).toBe(2_200)
  expect(await storage.truncateBefore('order-1', 10)).toBe(0)
  expect(await storage.info('order-1')).toEqual({ stream: 'order-1', revision: 2_499, first: 2_200 })
  expect((await all(storage.readStream('order-1'))).map((one) => one.revision)).toEqual(
    Array.from({ length: 300 }, (_, n) => 2_200 + n),
  )
  expect((await storage.head()).count).toBe(300)
  expect(await storage.append(to('order-1', events))).toMatchObject([{ revision: 2_499, repeated: true }])
  expect(await storage.append(to('order-1', [event()], 2_499))).toMatchObject([{ revision: 2_500 }])
  expect((await storage.head()).count).toBe(301)
})

test('everything is there after a restart, and listeners of another connection hear of what is appended', async () => {
  const file = scratchFile()
  const first = await storageOf({ file, logger: quiet })
  await first.append(to('order-1', [event({ body: 'before' })]))
  await first.stop()
  await expect(first.append(to('order-1', [event()]))).rejects.toThrow(/stopped; make another one/)
  const [second, third] = [await storageOf({ file, logger: quiet }), await storageOf({ file, logger: quiet })]
  let [own, others] = [0, 0]
  await second.listen(() => own++)
  const end = await third.listen(() => others++)
  await second.append(to('order-1', [event({ body: 'after' })], 0))
  await eventually(() => own > 0 && others > 0, 'both to be woken')
  expect((await all(third.readAll())).map(textOf)).toEqual(['before', 'after'])
  await end()
  expect(await third.head()).toMatchObject({ count: 2 })
})

test('claims to checkpoints are fenced', async () => {
  const clock = new StillClock()
  const { checkpoints } = await storageOf({ file: scratchFile(), clock, logger: quiet })
  const first = await checkpoints.claim('mails', 'a', 1_000)
  expect(first).toEqual({ name: 'mails', owner: 'a', token: 1, position: '' })
  expect(await checkpoints.claim('mails', 'b', 1_000)).toBeUndefined()
  expect(await checkpoints.advance(first as NonNullable<typeof first>, '0000000000000003')).toBe(true)
  expect(await checkpoints.claim('mails', 'a', 1_000)).toMatchObject({ token: 1, position: '0000000000000003' })
  expect(await checkpoints.delete('mails')).toBe(false)
  clock.time += 1_000
  const second = await checkpoints.claim('mails', 'b', 1_000)
  expect(second).toMatchObject({ owner: 'b', token: 2, position: '0000000000000003' })
  expect(await checkpoints.advance(first as NonNullable<typeof first>, '0000000000000004')).toBe(false)
  expect(await checkpoints.get('mails')).toMatchObject({ position: '0000000000000003', owner: 'b' })
  await checkpoints.release(second as NonNullable<typeof second>)
  expect(await checkpoints.get('mails')).not.toHaveProperty('owner')
  expect(await checkpoints.claim('mails', 'b', 1_000)).toMatchObject({ token: 3 })
  clock.time += 1_000
  expect(await checkpoints.delete('mails')).toBe(true)
  expect(await checkpoints.get('mails')).toBeUndefined()
})

test('text that a database would change, an event over the limit and a foreign position are refused', async () => {
  const storage = await storageOf()
  await expect(storage.append(to('order-\ud800', [event()]))).rejects.toThrow(/lone surrogate/)
  await expect(storage.append(to('order-1', [event({ metadata: { correlationId: 'a\0b' } })]))).rejects.toThrow(
    /correlation id/,
  )
  await expect(
    storage.append(to('order-1', [event(), event({ body: 'x'.repeat(16 * 1024 * 1024 + 1) })])),
  ).rejects.toThrow(/nothing was written/)
  expect((await storage.info('order-1')).revision).toBe(-1)
  await expect(all(storage.readAll({ after: '0001.00000000000001' }))).rejects.toThrow(
    /no position of events in SQLite/,
  )
})

test('a storage that was not started says so', async () => {
  const storage = new SqliteEventStorage({ file: scratchFile() })
  await expect(storage.append(to('order-1', [event()]))).rejects.toThrow(/was not started/)
  const onBroker = new SqliteEventStorage({ broker: new SqliteBroker({ file: scratchFile() }) })
  await expect(onBroker.head()).rejects.toThrow(/was not started/)
})
