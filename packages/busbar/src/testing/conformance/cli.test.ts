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

test('runs several targets in one call, brokers and event storages, and sums them up', () => {
  const { code, out } = run('memory', 'store:memory', '--only', 'stop may be called twice')
  const lines = out.trimEnd().split('\n')
  expect(lines).toEqual(expect.arrayContaining(['memory', 'memory: 1 passed, 0 failed', 'store:memory']))
  expect(lines.at(-1)).toBe('1 passed, 0 failed')
  expect(code).toBe(0)
})

test('the JSON of several targets tells the target of each result', () => {
  const { out } = run('memory', 'store:memory', '--json', '--only', 'may be called twice')
  const rows = JSON.parse(out) as readonly { readonly target: string; readonly result: string }[]
  expect(rows.map(({ target, result }) => `${target} ${result}`)).toEqual([
    'memory passed',
    'memory passed',
    'store:memory passed',
  ])
})

test('takes the path of a module with an event storage', () => {
  const module = fileURLToPath(new URL('../event-store/targets/memory.ts', import.meta.url))
  const { code, out } = run(module, '--only', "'none' takes a stream")
  expect(out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed')
  expect(code).toBe(0)
})

test('--targets names all of them, each with the variable that names its server', () => {
  const lines = run('--targets').out.trimEnd().split('\n')
  expect(lines).toEqual(expect.arrayContaining(['memory', 'redis-streams BUSBAR_REDIS_URL', 'store:memory']))
})

test('--list names the checks of the targets that are given', () => {
  const lines = run('--list', 'store:memory').out.trimEnd().split('\n')
  expect(lines).toContain("'none' takes a stream that never had an event")
  expect(lines).not.toContain('an empty batch is confirmed at once')
})
