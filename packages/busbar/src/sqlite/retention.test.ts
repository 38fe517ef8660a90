import { expect, test } from 'vitest'
import { collect, eventually, numbered, outgoing, scratchFile, started, StillClock } from './fixtures/scratch.ts'

const HOUR = 3_600_000

test('what is old enough is deleted, but nothing that a known group has not settled', async () => {
  const clock = new StillClock()
  const file = scratchFile()
  const broker = await started({ file, clock, retention: { maxAge: 100 } })
  const depth = async (): Promise<number> => (await broker.metrics()).topics[0]?.depth ?? 0
  const slow = await collect(broker, { group: 'slow', prefetch: 1 }, () => new Promise(() => {}))
  await broker.publish(numbered(2_000, 8))
  await eventually(() => slow.deliveries.length === 1, 'one unsettled delivery')
  const fast = await collect(broker, { group: 'fast', prefetch: 100 })
  await eventually(() => fast.deliveries.length === 2_000, 'the fast group')
  await broker.metrics()
  clock.time += HOUR
  await new Promise((resolve) => setTimeout(resolve, 100))
  clock.time += HOUR
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(await depth()).toBe(2_000)

  await slow.stop(0)
  await broker.deleteGroup('slow')
  await eventually(async () => {
    clock.time += HOUR
    return (await depth()) === 0
  }, 'everything to be deleted')
  // Places are never used again: a group that was at the end gets what comes, once.
  await broker.publish([outgoing({ key: 'k1' })])
  await eventually(() => fast.deliveries.length === 2_001, 'the message after the deletion')
  expect(await depth()).toBe(1)
})

test('what is not old enough stays, with no group at all', async () => {
  const clock = new StillClock()
  const broker = await started({ file: scratchFile(), clock, retention: { maxAge: 100 } })
  await broker.publish(numbered(5, 5))
  await new Promise((resolve) => setTimeout(resolve, 100))
  clock.time += 99
  await new Promise((resolve) => setTimeout(resolve, 100))
  const { deliveries } = await collect(broker)
  await eventually(() => deliveries.length === 5, 'all five from the earliest')
  expect((await broker.metrics()).topics[0]?.depth).toBe(5)
})
