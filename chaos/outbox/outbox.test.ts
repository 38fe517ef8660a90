import { describe, expect, test } from 'vitest'
import { targetOf } from '../../packages/busbar/src/testing/conformance/targets/index.ts'
import type { Defect } from './order.ts'
import { type OutboxChaosOptions, runOutboxChaos } from './run.ts'

const short = {
  target: targetOf('sqlite'),
  broker: { setting: 'a test' },
  messages: 400,
  rate: 100,
  seed: 1,
  patience: 120_000,
  keep: false,
  say: () => undefined,
} satisfies OutboxChaosOptions

describe('outbox and inbox', () => {
  test('give each committed order its effect once, while application, relay and consumers are killed', async () => {
    const result = await runOutboxChaos(short)
    expect(result).toMatchObject({
      broker: 'outbox',
      confirmed: 400,
      missing: 0,
      invented: 0,
      duplicated: 0,
      broken: [],
    })
    expect(result.handled).toBe(result.confirmed)
    expect(result.rolledBack).toBeGreaterThan(0)
    expect(result.killed.app).toBeGreaterThan(0)
    expect(result.killed.relay).toBeGreaterThan(0)
    expect(result.killed.consumer).toBeGreaterThan(0)
  }, 300_000)
})

describe('what is done without them is caught:', () => {
  const broken = (defect: Defect) => runOutboxChaos({ ...short, messages: 200, patience: 5_000, defect })

  test('what is published beside the transaction invents effects of orders that were rolled back', async () => {
    const { invented, broken: promises } = await broken('publishes beside the transaction')
    expect(invented).toBeGreaterThan(0)
    expect(promises).toContainEqual(`${invented} orders that were never committed have an effect`)
  }, 300_000)

  test('what is handled without an inbox has effects twice', async () => {
    const { duplicated, broken: promises } = await broken('keeps no inbox')
    expect(duplicated).toBeGreaterThan(0)
    expect(promises).toContainEqual(`${duplicated} effects came twice`)
  }, 300_000)
})
