import { describe, expect, test } from 'vitest'
import { eventStoreConformance } from '../runner.ts'
import { storageOf } from '../targets/index.ts'
import { defects } from './defects.ts'
import { brokenTarget } from './target.ts'

/** A defect makes checks wait for what never comes; they are not to wait long. A sound storage is given all the time it needs. */
const broken = { patience: 8_000, events: 60_000 }

describe.concurrent.each(defects)('a storage that $does', (defect) => {
  test('is caught by its check, for the right reason', async () => {
    const suite = eventStoreConformance(brokenTarget(defect), broken)
    const check = suite.checks.find(({ name }) => name === defect.caughtBy)
    expect(check, `there is no check '${defect.caughtBy}'`).toBeDefined()
    if (check === undefined) return
    const { result, error, reason } = await suite.run(check)
    expect({ result, reason }).toEqual({ result: 'failed', reason: undefined })
    expect(error?.message).toMatch(defect.saying)
  })
})

/** The same checks over a sound storage, so that a failure above is the defect's and not the check's. */
describe('a sound storage, whose appends can be held open,', () => {
  const suite = eventStoreConformance(brokenTarget(), { events: broken.events })
  const own = defects.filter(({ base, does }) => base === undefined && !/^says|two processes/.test(does))
  const names = new Set(own.map(({ caughtBy }) => caughtBy))
  test.each(suite.checks.filter(({ name, fault }) => names.has(name) || fault === 'holdAppend'))(
    'passes: $name',
    async (check) => {
      const { result, error } = await suite.run(check)
      expect(error).toBeUndefined()
      expect(result).toBe('passed')
    },
  )
})

describe('a sound storage that outlives its process', () => {
  const suite = eventStoreConformance(storageOf('sqlite') ?? { name: 'sqlite', module: '' })
  const names = new Set(defects.filter(({ base }) => base === 'sqlite').map(({ caughtBy }) => caughtBy))
  test.each(suite.checks.filter(({ name }) => names.has(name)))('passes: $name', async (check) => {
    const { result, error } = await suite.run(check)
    expect(error).toBeUndefined()
    expect(result).toBe('passed')
  })
})
