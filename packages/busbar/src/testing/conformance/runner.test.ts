import { describe, expect, test } from 'vitest'
import type { Capabilities } from '../../broker/index.ts'
import type { Check } from './check.ts'
import { conformanceChecks, describeConformance, targetOf } from './index.ts'
import type { TestRunner } from '../suite/describe.ts'
import type { ConformanceTarget } from './index.ts'
import { resultLine, resultsAsJson, skipReasons, summaryLine } from '../suite/report.ts'
import { runConformance } from './runner.ts'
import { whySkipped } from '../suite/selection.ts'

type Run = Parameters<TestRunner['test']>[1]

describe('the suite', () => {
  test('has more than a hundred checks, each with a name of its own', () => {
    const names = conformanceChecks.map(({ name }) => name)
    expect(names.length).toBeGreaterThan(100)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  test('runs only what is asked for, and tells each result as it comes', async () => {
    const told: string[] = []
    const only = 'Empty Batch'
    const { results } = await runConformance(targetOf('memory'), { only, onResult: ({ name }) => told.push(name) })
    expect(results).toMatchObject([{ name: 'an empty batch is confirmed at once', result: 'passed' }])
    expect(told).toEqual(['an empty batch is confirmed at once'])
  })

  test('skips what a target says it cannot do, and says why', async () => {
    const target = { ...targetOf('memory'), capabilities: { delay: false } }
    const { results } = await runConformance(target, { only: 'a moment in the past means at once' })
    expect(results).toMatchObject([{ result: 'skipped', reason: 'delay is false' }])
  })

  test('a target whose module cannot be loaded fails each check with the reason', async () => {
    const target = { name: 'nothing', module: new URL('./no-such-module.ts', import.meta.url).href }
    const { results } = await runConformance(target, { only: 'an empty batch' })
    expect(results).toMatchObject([{ result: 'failed' }])
    expect(results[0]?.error?.message).toMatch(/no-such-module/)
  })
})

describe('the binding for test runners', () => {
  /** Declares over memory into a list instead of a test runner. */
  function declared(target: ConformanceTarget): {
    readonly suites: readonly string[]
    readonly tests: Map<string, Run>
  } {
    const suites: string[] = []
    const tests = new Map<string, Run>()
    const runner: TestRunner = {
      describe: (name, define) => {
        suites.push(name)
        define()
      },
      test: (name, run) => tests.set(name, run),
    }
    describeConformance(runner, target)
    return { suites, tests }
  }

  async function runOne(target: ConformanceTarget, name: string): Promise<readonly (string | undefined)[]> {
    const skipped: (string | undefined)[] = []
    await declared(target).tests.get(name)?.({ skip: (reason) => skipped.push(reason) })
    return skipped
  }

  test('declares each check as a test', () => {
    const { suites, tests } = declared(targetOf('memory'))
    expect(suites).toEqual(['broker conformance: memory'])
    expect([...tests.keys()]).toEqual(conformanceChecks.map(({ name }) => name))
  })

  test('a check that holds is a test that passes, and one that does not apply is skipped with its reason', async () => {
    expect(await runOne(targetOf('memory'), 'an empty batch is confirmed at once')).toEqual([])
    expect(await runOne(targetOf('memory'), 'a delay survives a restart and is still not early')).toEqual([
      'durable is false',
    ])
  })

  test('a check that fails is a test that fails', async () => {
    const deaf = { name: 'deaf', module: new URL('./broken/deaf.ts', import.meta.url).href }
    const failing = runOne(deaf, 'a stopped broker refuses to publish, subscribe and be pinged')
    await expect(failing).rejects.toThrow('a publish after stop did not reject')
  })
})

describe('why a check is skipped', () => {
  const capabilities = { durable: true, multiProcess: false, replay: false } as Capabilities
  const check = (needs: NonNullable<Check['needs']>): Check => ({ name: 'x', needs, run: () => Promise.resolve() })

  test('the first capability that is missing is the reason', () => {
    const skipped = whySkipped(
      check((c) => c.durable && c.multiProcess && c.replay),
      capabilities,
    )
    expect(skipped).toBe('multiProcess is false')
  })

  test('a check of a denial is skipped because the broker can', () => {
    expect(
      whySkipped(
        check((c) => !c.durable),
        capabilities,
      ),
    ).toBe('durable is true')
  })

  test('a fault that the target cannot cause is a reason', () => {
    const interrupt: Check = { ...check(() => true), fault: 'interrupt' }
    expect(whySkipped(interrupt, capabilities)).toBe('the target cannot cause the fault interrupt')
    expect(
      whySkipped(
        check(() => true),
        capabilities,
      ),
    ).toBeUndefined()
  })
})

describe('the report', () => {
  const results = [
    { name: 'a', result: 'passed', ms: 3 },
    { name: 'b', result: 'failed', ms: 5, error: new Error('too late') },
    { name: 'c', result: 'skipped', ms: 0, reason: 'delay is false' },
    { name: 'd', result: 'skipped', ms: 0, reason: 'delay is false' },
  ] as const

  test('ends with the numbers', () => {
    expect(summaryLine(results)).toBe('1 passed, 1 failed, 2 skipped')
    expect(summaryLine(results.slice(0, 2))).toBe('1 passed, 1 failed')
    expect(skipReasons(results)).toEqual(['2 skipped because delay is false'])
  })

  test('a failed check says what went wrong', () => {
    expect(resultLine(results[1])).toContain('too late')
  })

  test('the JSON has name, result and milliseconds of each', () => {
    expect(JSON.parse(resultsAsJson(results))).toEqual([
      { name: 'a', result: 'passed', milliseconds: 3 },
      { name: 'b', result: 'failed', milliseconds: 5, error: 'too late' },
      { name: 'c', result: 'skipped', milliseconds: 0, reason: 'delay is false' },
      { name: 'd', result: 'skipped', milliseconds: 0, reason: 'delay is false' },
    ])
  })
})
