import { describe, expect, test } from 'vitest'
import type { TestRunner } from '../suite/describe.ts'
import {
  describeEventStore,
  eventStoreChecks,
  eventStoreConformance,
  runEventStoreConformance,
  storageOf,
} from './index.ts'

const memory = storageOf('memory') ?? { name: 'nothing', module: '' }

test('the suite has more than a hundred checks, each with a name of its own', () => {
  const names = eventStoreChecks.map(({ name }) => name)
  expect(names.length).toBeGreaterThan(100)
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
})

test('runs one check in an empty store of its own', async () => {
  const suite = eventStoreConformance(memory)
  const check = suite.checks.find(({ name }) => name.startsWith('head tells'))
  expect(check).toBeDefined()
  if (check === undefined) return
  for (let n = 0; n < 2; n++) expect(await suite.run(check)).toMatchObject({ result: 'passed' })
})

test('skips what a storage cannot do, and says why', async () => {
  const { results } = await runEventStoreConformance(memory, { only: 'inline runs once' })
  expect(results).toMatchObject([{ result: 'skipped', reason: 'transactions is false' }])
})

test('a storage that claims more than it can fails the checks of what it claims', async () => {
  const target = { ...memory, capabilities: { transactions: true } }
  const { results } = await runEventStoreConformance(target, { only: 'inline runs once' })
  expect(results[0]?.error?.message).toMatch(/exports no userDatabase/)
})

describe('the binding for test runners', () => {
  test('declares each check as a test', async () => {
    const tests = new Map<string, Parameters<TestRunner['test']>[1]>()
    const suites: string[] = []
    const runner: TestRunner = {
      describe: (name, define) => {
        suites.push(name)
        define()
      },
      test: (name, run) => tests.set(name, run),
    }
    describeEventStore(runner, memory)
    expect(suites).toEqual(['event store conformance: memory'])
    expect([...tests.keys()]).toEqual(eventStoreChecks.map(({ name }) => name))
    const skipped: unknown[] = []
    await tests.get('ping resolves while the store can be written to')?.({ skip: (reason) => skipped.push(reason) })
    await tests.get('everything is there after a restart: events, order, positions, revisions and head')?.({
      skip: (reason) => skipped.push(reason),
    })
    expect(skipped).toEqual(['durable is false'])
  })
})
