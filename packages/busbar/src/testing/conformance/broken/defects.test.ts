import { describe, expect, test } from 'vitest'
import { brokerConformance } from '../runner.ts'
import { targetOf } from '../targets/index.ts'
import { defects } from './defects.ts'
import { brokenTarget } from './target.ts'

/** A defect makes checks wait for what never comes; they are not to wait long. A sound broker is given all the time it needs. */
const broken = { patience: 8_000, backlog: 20_000 }

describe.concurrent.each(defects)('a $base broker that $does', (defect) => {
  test('is caught by its check, for the right reason', async () => {
    const suite = brokerConformance(brokenTarget(defect), broken)
    const check = suite.checks.find(({ name }) => name === defect.caughtBy)
    expect(check, `there is no check '${defect.caughtBy}'`).toBeDefined()
    if (check === undefined) return
    const { result, error, reason } = await suite.run(check)
    expect({ result, reason }).toEqual({ result: 'failed', reason: undefined })
    expect(error?.message).toMatch(defect.saying)
  })
})

/** The same checks over the sound brokers, so that a failure above is the defect's and not the check's. */
const applicable = defects.filter(({ does }) => !does.startsWith('says that it cannot'))

describe.each([...new Set(applicable.map(({ base }) => base))])('a sound %s broker', (base) => {
  const suite = brokerConformance(targetOf(base), { backlog: broken.backlog })
  const names = new Set(applicable.filter((defect) => defect.base === base).map(({ caughtBy }) => caughtBy))
  test.each(suite.checks.filter(({ name }) => names.has(name)))('passes: $name', async (check) => {
    const { result, error } = await suite.run(check)
    expect(error).toBeUndefined()
    expect(result).toBe('passed')
  })
})
