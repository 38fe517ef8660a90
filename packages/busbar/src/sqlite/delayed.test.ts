import { expect, test } from 'vitest'
import { collect, eventually, numbered, outgoing, scratchFile, started, StillClock } from './fixtures/scratch.ts'

/** Long enough for many looks at the database. */
function aFewLooks(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 150))
}

test('a delayed message comes at its time by the clock of the broker, never before', async () => {
  const clock = new StillClock()
  const broker = await started({ file: scratchFile(), clock })
  const { bodies } = await collect(broker)
  const at = (ms: number, body: string) => ({ ...outgoing({ body }), deliverAt: clock.time + ms })
  await broker.publish([at(60_000, 'later'), at(30_000, 'sooner'), at(-5, 'past'), outgoing({ body: 'now' })])
  await eventually(() => bodies.length === 2, 'what is not delayed')
  expect(bodies.toSorted()).toEqual(['now', 'past'])
  clock.time += 29_999
  await aFewLooks()
  expect(bodies.length).toBe(2)
  clock.time += 1
  await eventually(() => bodies.length === 3, 'the sooner one')
  expect(bodies[2]).toBe('sooner')
  clock.time += 29_999
  await aFewLooks()
  expect(bodies.length).toBe(3)
  clock.time += 1
  await eventually(() => bodies.length === 4, 'the later one')
  expect((await broker.metrics()).topics[0]).toEqual({ topic: 'orders', depth: 4, delayed: 0 })
})

test('a delay survives a restart; what came due in between comes at once, and once though several brokers watch', async () => {
  const clock = new StillClock()
  const file = scratchFile()
  const before = await started({ file, clock })
  await before.publish(numbered(300, 3).map((one) => ({ ...one, deliverAt: clock.time + 1_000 })))
  expect((await before.metrics()).topics[0]).toEqual({ topic: 'orders', depth: 0, delayed: 300 })
  await before.stop()
  const brokers = [await started({ file, clock }), await started({ file, clock }), await started({ file, clock })]
  const groups = await Promise.all(brokers.map((broker, n) => collect(broker, { group: `g${n}`, prefetch: 1_000 })))
  await aFewLooks()
  for (const { deliveries } of groups) expect(deliveries).toEqual([])
  clock.time += 1_000
  for (const { deliveries } of groups) await eventually(() => deliveries.length >= 300, '300 deliveries')
  await aFewLooks()
  for (const { deliveries, bodies } of groups) {
    expect(deliveries.length).toBe(300)
    const ofOneKey = bodies.filter((_, n) => deliveries[n]?.message.key === 'k1')
    expect(ofOneKey).toEqual(Array.from({ length: 100 }, (_, n) => String(n)))
  }
})

test('a redelivery is kept with its attempts, not early, over a restart', async () => {
  const clock = new StillClock()
  const file = scratchFile()
  const first = await started({ file, clock })
  await first.publish([outgoing({ body: 'flaky' })])
  const redeliver = { after: 5_000, attempts: 4, firstFailedAt: 123 }
  const member = await collect(first, {}, () => ({ redeliver }))
  await eventually(async () => (await first.metrics()).groups[0]?.redelivering === 1, 'the redelivery to be stored')
  expect(member.deliveries.length).toBe(1)
  await first.stop()
  const second = await started({ file, clock })
  const { deliveries } = await collect(second)
  clock.time += 4_999
  await aFewLooks()
  expect(deliveries).toEqual([])
  clock.time += 1
  await eventually(() => deliveries.length === 1, 'the redelivery')
  const [delivery] = deliveries
  expect(delivery).toMatchObject({ attempts: 4, redeliveries: 1, crashes: 0, firstFailedAt: 123 })
})

test('a message for one group alone is seen by no other', async () => {
  const broker = await started({ file: scratchFile() })
  const mine = await collect(broker, { group: 'mine' })
  const others = await collect(broker, { group: 'others' })
  await broker.publish([{ ...outgoing({ body: 'for mine' }), group: 'mine' }, outgoing({ body: 'for all' })])
  await eventually(() => mine.deliveries.length === 2 && others.deliveries.length === 1, 'three deliveries')
  expect(mine.bodies.toSorted()).toEqual(['for all', 'for mine'])
  expect(others.bodies).toEqual(['for all'])
})
