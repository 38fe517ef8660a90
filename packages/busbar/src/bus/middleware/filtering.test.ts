import { expect, test } from 'vitest'

import { memoryBus } from '../fixtures/bus.ts'
import { Ticked } from '../fixtures/contracts.ts'
import { filtering } from './filtering.ts'

const even = ({ data }: { readonly data: unknown }): boolean => (data as { n: number }).n % 2 === 0

test('at publish it drops before anything is sent, and publish resolves', async () => {
  await using bus = await memoryBus({ middleware: [filtering({ publish: async (message) => even(message) })] })
  const seen: number[] = []
  const subscription = await bus.subscribe(Ticked, (event) => void seen.push(event.data.n))
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.publish([Ticked.create({ n: 2 }), Ticked.create({ n: 3 }), Ticked.create({ n: 4 })])
  await bus.idle()
  expect(seen).toEqual([2, 4])
  expect(subscription.stats()).toMatchObject({ handled: 2, filtered: 0 })
})

test('at consume it acks without a run and counts', async () => {
  await using bus = await memoryBus({
    middleware: [filtering({ consume: (message, { group }) => group !== 'picky' || even(message) })],
  })
  const seen: Record<string, number[]> = { all: [], picky: [] }
  await bus.subscribe(Ticked, (event) => void seen.all?.push(event.data.n), { group: 'all' })
  const picky = await bus.subscribe(Ticked, (event) => void seen.picky?.push(event.data.n), { group: 'picky' })
  for (const n of [1, 2, 3]) await bus.publish(Ticked.create({ n }))
  await bus.idle()
  expect(seen).toEqual({ all: [1, 2, 3], picky: [2] })
  expect(picky.stats()).toMatchObject({ handled: 1, filtered: 2, failed: 0 })
  expect(await bus.deadLetters.count()).toBe(0)
})

test('a predicate that throws loses nothing: the publish rejects, the run fails', async () => {
  const broken = (): boolean => {
    throw new Error('predicate broke')
  }
  await using sender = await memoryBus({ middleware: [filtering({ publish: broken })] })
  await expect(sender.publish(Ticked.create({ n: 1 }))).rejects.toThrow('predicate broke')
  await using bus = await memoryBus({ middleware: [filtering({ consume: broken })] })
  await bus.subscribe(Ticked, () => {})
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(await bus.deadLetters.count()).toBe(1)
})
