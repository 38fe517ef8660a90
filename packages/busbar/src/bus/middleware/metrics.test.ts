import { expect, test } from 'vitest'

import { memoryBus } from '../fixtures/bus.ts'
import { OrderPlaced, Ticked } from '../fixtures/contracts.ts'
import { metrics } from './metrics.ts'
import { MemoryMetricsRegistry } from './metrics-registry.ts'

test('counts and times publishes and runs, by type, group and outcome, without payloads', async () => {
  const measured = metrics()
  await using bus = await memoryBus({ middleware: [measured] })
  await bus.subscribe(Ticked, ({ data }) => {
    if (data.n === 3) throw new Error('unlucky 4711')
  })
  for (const n of [1, 2, 3]) await bus.publish(Ticked.create({ n }))
  await expect(bus.publish(OrderPlaced.create({ orderId: 4711 as never }))).rejects.toThrow('invalid')
  await bus.idle()
  const { counters, durations } = measured.snapshot()
  const run = { type: 'Ticked', group: 'app.Ticked', handler: 'Ticked' }
  expect(counters).toHaveLength(4)
  for (const counter of [
    { name: 'busbar_publish_total', labels: { type: 'Ticked', outcome: 'ok' }, value: 3 },
    { name: 'busbar_process_total', labels: { ...run, outcome: 'ok' }, value: 2 },
    { name: 'busbar_process_total', labels: { ...run, outcome: 'error' }, value: 1 },
    { name: 'busbar_publish_total', labels: { type: 'order.placed', outcome: 'error' }, value: 1 },
  ]) {
    expect(counters).toContainEqual(counter)
  }
  const processed = durations.find(({ name }) => name === 'busbar_process_seconds')
  expect(processed).toMatchObject({ labels: run, count: 3 })
  expect(processed?.sum).toBeGreaterThan(0)
  expect(processed?.max).toBeLessThanOrEqual(processed?.sum ?? 0)
  expect(JSON.stringify(measured.snapshot())).not.toContain('4711')
})

test('buckets count up, to infinity', () => {
  const registry = new MemoryMetricsRegistry()
  for (const seconds of [0.0001, 0.004, 0.2, 99]) registry.observe('x', {}, seconds)
  const [{ buckets, count } = { buckets: [], count: 0 }] = registry.snapshot().durations
  expect(count).toBe(4)
  expect(buckets.find(({ le }) => le === 0.0001)?.count).toBe(1)
  expect(buckets.find(({ le }) => le === 0.25)?.count).toBe(3)
  expect(buckets.at(-1)).toEqual({ le: Infinity, count: 4 })
})

test('a stream of invented types does not grow it for ever', () => {
  const registry = new MemoryMetricsRegistry()
  for (let n = 0; n < 6_000; n++) registry.count('x', { type: `t${n}` })
  const { counters } = registry.snapshot()
  expect(counters.length).toBeLessThanOrEqual(5_001)
  expect(counters.find(({ labels }) => labels.type === 'other')?.value).toBe(1_000)
})

test('a registry of your own gets everything, and the snapshot is empty', async () => {
  const counted: string[] = []
  const registry = { count: (name: string) => void counted.push(name), observe: () => {} }
  const measured = metrics({ registry })
  await using bus = await memoryBus({ middleware: [measured] })
  await bus.publish(Ticked.create({ n: 1 }))
  expect(counted).toEqual(['busbar_publish_total'])
  expect(measured.snapshot()).toEqual({ counters: [], durations: [] })
})
