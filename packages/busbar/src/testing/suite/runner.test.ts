import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { CheckOf } from './check.ts'
import { runChosen } from './runner.ts'

type Check = CheckOf<unknown, unknown>

/** What ran beside each check, itself included. */
async function besideEach(checks: readonly Check[]): Promise<ReadonlyMap<string, ReadonlySet<Check>>> {
  const running = new Set<Check>()
  const beside = new Map<string, Set<Check>>()
  const run = async (check: Check): Promise<{ name: string; result: 'passed'; ms: number }> => {
    running.add(check)
    beside.set(check.name, new Set())
    for (const one of running) for (const other of running) beside.get(one.name)?.add(other)
    for (let n = 0; n < 5; n++) await turn()
    running.delete(check)
    return { name: check.name, result: 'passed', ms: 0 }
  }
  const { results } = await runChosen({ checks, run }, { concurrency: 4 })
  expect(results.map(({ name }) => name)).toEqual(checks.map(({ name }) => name))
  return beside
}

test('light checks run beside each other, no two heavy ones do, and one that holds up others runs when no other does', async () => {
  const checks: Check[] = Array.from({ length: 24 }, (_, n) => ({
    name: `check ${n}`,
    heavy: n % 4 < 2,
    alone: n % 4 === 2,
    run: async () => {},
  }))
  const beside = await besideEach(checks)
  for (const check of checks) {
    const others = [...(beside.get(check.name) ?? [])].filter((one) => one !== check)
    if (check.alone === true) expect(others, check.name).toEqual([])
    if (check.heavy === true) expect(others.filter((one) => one.heavy === true)).toEqual([])
  }
  expect([...beside.values()].some((others) => others.size > 2)).toBe(true)
})
