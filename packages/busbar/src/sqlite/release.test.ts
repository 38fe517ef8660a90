/** A lease can run out, and be renewed because nobody else wanted it: what came back unrun meanwhile keeps its place. */
import { expect, test } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import { ack, collect, eventually, gate, numbered, scratchFile, started, textOf } from './fixtures/scratch.ts'

test('of a key nothing passes a message that was released, whether it was out or comes from the log', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish(numbered(40, 1))
  const verdicts = [gate<Verdict>(), gate<Verdict>(), gate<Verdict>()]
  let count = 0
  const seen = await collect(broker, { prefetch: 3 }, () => verdicts[count++]?.opened ?? ack)
  await eventually(() => count === 3, 'a full window')

  verdicts[0]?.open({ release: true })
  await eventually(() => seen.deliveries[1]?.lapsed === true, 'the one behind it to be asked back')
  expect(seen.deliveries[2]?.lapsed).toBe(true)
  // Whoever runs one of them already may settle it; the other comes back.
  verdicts[1]?.open(ack)
  verdicts[2]?.open({ release: true })
  await eventually(() => seen.deliveries.length === 42, 'everything, and two of it again')
  const again = seen.bodies.slice(3)
  expect(again).toEqual(['0', '2', ...Array.from({ length: 37 }, (_, n) => String(n + 3))])
  expect(seen.deliveries[3]?.lapsed).toBe(false)
})

test('other keys go on while one comes back again and again', async () => {
  const broker = await started({ file: scratchFile(), partitions: 1 })
  await broker.publish(numbered(20, 2))
  let comesBack = true
  const of = (wanted: string): string[] => seen.deliveries.filter(({ message: { key } }) => key === wanted).map(textOf)
  const seen = await collect(broker, { prefetch: 20 }, ({ message: { key, body } }) =>
    key === 'k0' && body === '3' && comesBack ? { release: true } : ack,
  )
  const all = Array.from({ length: 10 }, (_, n) => String(n))
  await eventually(() => of('k1').length === 10, 'all of the other key')
  expect(of('k0').at(-1)).toBe('3')
  comesBack = false
  await eventually(() => of('k0').at(-1) === '9', 'all of the key')
  expect([...new Set(of('k0'))]).toEqual(all)
  expect(of('k1')).toEqual(all)
})
