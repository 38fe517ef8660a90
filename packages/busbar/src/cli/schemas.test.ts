import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { schemas } from './schemas.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'busbar-schemas-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url))

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: [] as string[], err: [] as string[] }
  const code = await schemas(args, { out: (text) => said.out.push(text), err: (text) => said.err.push(text) })
  return { code, out: said.out.join('\n'), err: said.err.join('\n') }
}

describe.each([
  ['a file', () => join(folder, 'schemas.json')],
  ['SQLite', () => `sqlite:${join(folder, 'schemas.db')}`],
])('in %s', (_, where) => {
  test('what is registered stays, and a change that breaks is told in words', async () => {
    const registry = ['--registry', where()]
    const registered = await run('register', fixture('contracts-v1'), ...registry)
    expect(registered.code).toBe(0)
    expect(registered.out).toMatch(/1 of 1 contracts are compatible, registered$/)
    expect((await run('check', fixture('contracts-v1'), ...registry)).out).toContain(
      'OrderPlaced version 1: registered',
    )
    const broken = await run('check', fixture('contracts-v2'), ...registry)
    expect(broken.code).toBe(1)
    expect(broken.out).toMatch(/✗ OrderPlaced version 2: incompatible/)
    expect(broken.out).toMatch(/breaks: .*email/)
    expect(broken.out).toMatch(/0 of 1 contracts are compatible$/)
    // What breaks is not registered either.
    expect((await run('register', fixture('contracts-v2'), ...registry)).code).toBe(1)
    expect((await run('register', fixture('contracts-upcast'), ...registry)).code).toBe(0)
  })

  test('another schema under the same version fails, and the error says how to declare it', async () => {
    const registry = ['--registry', where()]
    await run('register', fixture('contracts-v1'), ...registry)
    const changed = await run('check', fixture('contracts-changed'), ...registry)
    expect(changed.code).toBe(1)
    expect(changed.err).toMatch(/declare the changed schema as version 2/)
  })

  test('check registers nothing', async () => {
    const registry = ['--registry', where()]
    expect((await run('check', fixture('contracts-v1'), ...registry)).code).toBe(0)
    expect((await run('check', fixture('contracts-v1'), ...registry)).out).toContain('version 1: compatible')
  })
})

test('a file holds what the registry in memory takes, and is written whole', async () => {
  const path = join(folder, 'schemas.json')
  await run('register', fixture('contracts-v1'), '--registry', path)
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject([{ type: 'OrderPlaced', version: 1, upcastsFrom: 1 }])
})

test('results come as JSON where they are asked for', async () => {
  const { out } = await run(
    'check',
    fixture('contracts-v1'),
    '--registry',
    join(folder, 'a.json'),
    '--json',
    '--level',
    'FULL',
  )
  expect(JSON.parse(out)).toMatchObject([{ type: 'OrderPlaced', level: 'FULL', verdict: 'compatible' }])
})

test('a wrong call ends with 2 and says what is right', async () => {
  const registry = ['--registry', join(folder, 'a.json')]
  expect(await run()).toMatchObject({ code: 2 })
  expect((await run('check', fixture('contracts-v1'))).err).toMatch(/^Usage: busbar schemas/)
  expect((await run('check', fixture('contracts-v1'), '--nothing')).err).toMatch(/nothing/)
  expect((await run('check', fixture('none'), ...registry)).err).toMatch(/cannot be loaded/)
  expect((await run('check', fileURLToPath(import.meta.resolve('./registry.ts')), ...registry)).err).toMatch(
    /exports no contract/,
  )
  expect((await run('check', fixture('contracts-v1'), '--registry', 'mysql://x')).err).toMatch(/is no registry/)
  expect((await run('check', fixture('contracts-v1'), ...registry, '--level', 'ALL')).err).toMatch(
    /no level of compatibility/,
  )
  writeFileSync(join(folder, 'broken.json'), '[')
  expect(await run('check', fixture('contracts-v1'), '--registry', join(folder, 'broken.json'))).toMatchObject({
    code: 2,
  })
  expect((await run('--help')).code).toBe(0)
})
