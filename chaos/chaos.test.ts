import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { targetOf } from '../packages/busbar/src/testing/conformance/targets/index.ts'
import { brokenTarget, type Defect } from './broken.ts'
import { type ChaosOptions, runChaos } from './run.ts'

const short = {
  broker: { setting: 'a test' },
  messages: 2_000,
  rate: 600,
  seed: 1,
  patience: 120_000,
  keep: false,
  say: () => undefined,
} satisfies Omit<ChaosOptions, 'target'>

/** A defect makes the run wait for what never comes; it is not to wait long. */
const broken = (defect: Defect, patience = 3_000) => runChaos({ ...short, patience, target: brokenTarget(defect) })

describe('a sound broker', () => {
  test('loses nothing and keeps the order while publishers and consumers are killed', async () => {
    const result = await runChaos({ ...short, target: targetOf('sqlite') })
    expect(result).toMatchObject({
      broker: 'sqlite',
      published: 2_000,
      lost: 0,
      outOfOrder: 0,
      broken: [],
      order: 'key',
    })
    expect(result.confirmed).toBeGreaterThan(0)
    expect(result.handled).toBe(result.confirmed)
    expect(result.killed.publisher).toBeGreaterThan(0)
    expect(result.killed.consumer).toBeGreaterThan(0)
    expect(result.kills).toBe(result.killed.publisher + result.killed.consumer)
  }, 300_000)
})

describe('a broken broker is caught:', () => {
  test('one that acks before the handler has run loses messages', async () => {
    const { lost, broken: promises } = await broken('acks before the handler has run')
    expect(lost).toBeGreaterThan(0)
    expect(promises).toEqual([`${lost} confirmed messages were lost`])
  }, 300_000)

  test('one that confirms before it has stored loses messages', async () => {
    const { lost, broken: promises } = await broken('confirms before it has stored')
    expect(lost).toBeGreaterThan(0)
    expect(promises).toEqual([`${lost} confirmed messages were lost`])
  }, 300_000)

  test('one that stores a batch in the wrong order breaks the order of keys', async () => {
    const { outOfOrder, lost, broken: promises } = await broken('stores a batch in the wrong order', short.patience)
    expect(lost).toBe(0)
    expect(outOfOrder).toBeGreaterThan(0)
    expect(promises).toEqual([`${outOfOrder} messages were handled out of the order of their key`])
  }, 300_000)
})

describe('the command', () => {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const run = (...args: readonly string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })

  test('ends with one line of JSON on standard output that begins with what was compared', () => {
    const { status, stdout } = run('sqlite', '--messages', '300', '--rate', '300', '--seed', '7', '--json')
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(1)
    const result = JSON.parse(lines[0] ?? '') as object
    const fields = ['broker', 'published', 'confirmed', 'handled', 'duplicated', 'outOfOrder', 'lost', 'kills']
    expect(Object.keys(result).slice(0, 8)).toEqual(fields)
    expect(result).toMatchObject({ broker: 'sqlite', published: 300, seed: 7 })
    expect(status).toBe(0)
  }, 300_000)

  test('exits with 1 where a promise broke', () => {
    const module = fileURLToPath(new URL('./reordering.fixture.ts', import.meta.url))
    const { status, stdout } = run(module, '--messages', '300', '--rate', '300', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ lost: 0, broken: [expect.stringContaining('out of the order')] })
    expect(status).toBe(1)
  }, 300_000)

  test('refuses what it cannot do, with what it can', () => {
    expect(run()).toMatchObject({ status: 2, stderr: expect.stringContaining('sqlite, postgres, redis-streams') })
    expect(run('memory')).toMatchObject({ status: 2, stderr: expect.stringContaining('no durable broker') })
    expect(run('sqlite', '--messages', 'many')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--messages'),
    })
  })
})
