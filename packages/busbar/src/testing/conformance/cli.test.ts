import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const cli = fileURLToPath(new URL('./cli.ts', import.meta.url))

function run(...args: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' })
  return { code: status, out: stdout, err: stderr }
}

test('prints each check and ends with the numbers', () => {
  const { code, out } = run('memory', '--only', 'empty batch')
  expect(out).toContain('an empty batch is confirmed at once')
  expect(out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed')
  expect(code).toBe(0)
})

test('--json prints name, result and milliseconds of each, and nothing else, on standard output', () => {
  const { code, out } = run('memory', '--json', '--only', 'empty batch')
  const expected = { name: 'an empty batch is confirmed at once', result: 'passed', milliseconds: expect.any(Number) }
  expect(JSON.parse(out)).toEqual([expected])
  expect(code).toBe(0)
})

test('takes the path of a module, and exits with 1 when a check fails', () => {
  const module = fileURLToPath(new URL('./broken/deaf.ts', import.meta.url))
  const { code, out } = run(module, '--only', 'stopped broker refuses')
  expect(out).toContain('a publish after stop did not reject')
  expect(out.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed')
  expect(code).toBe(1)
})

test('an unknown target or a name that no check has is said with what there is', () => {
  expect(run('rabbit')).toMatchObject({ code: 2, err: expect.stringContaining('memory, sqlite') })
  expect(run('memory', '--only', 'no such check')).toMatchObject({ code: 2, err: expect.stringContaining('--list') })
  expect(run()).toMatchObject({ code: 2, err: expect.stringContaining('Usage') })
})

test('--list names every check', () => {
  const { code, out } = run('--list')
  expect(out.trimEnd().split('\n').length).toBeGreaterThan(100)
  expect(code).toBe(0)
})
