import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { counts } from './counts.ts'

const file = (status: string, tests: number) => ({
  status,
  assertionResults: Array.from({ length: tests }, () => ({})),
})
const report = { numPassedTests: 7, numFailedTests: 0, numPendingTests: 0, testResults: [file('passed', 7)] }

describe('the counts of a suite', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'busbar-counts-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function written(text: string): Promise<string> {
    const path = join(folder, 'out')
    await writeFile(path, text)
    return path
  }

  test('are those of the test runner', async () => {
    const path = await written(JSON.stringify({ ...report, numFailedTests: 2 }))
    expect(counts('vitest', path, 1)).toEqual({ passed: 7, failed: 2 })
  })

  test('count a test that was skipped as failed', async () => {
    expect(counts('vitest', await written(JSON.stringify({ ...report, numPendingTests: 1 })), 0)).toEqual({
      passed: 7,
      failed: 1,
    })
  })

  test('count a file that could not be loaded as failed', async () => {
    const path = await written(JSON.stringify({ ...report, testResults: [file('passed', 7), file('failed', 0)] }))
    expect(counts('vitest', path, 1)).toEqual({ passed: 7, failed: 1 })
  })

  test.each([
    ['a test runner that fails although its tests pass', 'vitest', JSON.stringify(report), 1, 7],
    [
      'a test runner that ran nothing',
      'vitest',
      JSON.stringify({ ...report, numPassedTests: 0, testResults: [] }),
      0,
      0,
    ],
    ['a report that breaks off', 'vitest', '{"numPassedTests": 7,', 1, 0],
    ['a conformance run that died before its last line', 'conformance', '✓ a\n✓ b\n', 137, 0],
    ['a conformance run that fails although its checks pass', 'conformance', '60 passed, 0 failed\n', 1, 60],
  ] as const)('count %s as one failure', async (_, suite, text, status, passed) => {
    expect(counts(suite, await written(text), status)).toEqual({ passed, failed: 1 })
  })

  test('count a suite that wrote nothing as one failure', () => {
    expect(counts('vitest', join(folder, 'nothing'), 0)).toEqual({ passed: 0, failed: 1 })
  })

  test('are those of the last line of a conformance run, without what does not apply', async () => {
    const path = await written('✓ 9 passed, 9 failed\n61 passed, 3 failed, 20 skipped\n')
    expect(counts('conformance', path, 1)).toEqual({ passed: 61, failed: 3 })
  })
})
