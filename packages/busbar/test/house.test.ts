import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { node } from './program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const oxlint = join(root, 'node_modules/oxlint/bin/oxlint')

/** A house of one line a file, with the project's own lint configuration. */
const sound: Readonly<Record<string, string>> = {
  'packages/busbar/src/message/message.ts': 'export const message = 1\n',
  'packages/busbar/src/broker/broker.ts': "export { message } from '../message/message.ts'\n",
  'packages/busbar/src/bus/bus.ts': "export { message } from '../broker/broker.ts'\n",
  'packages/busbar/src/sql/log.ts': "export { message } from '../broker/broker.ts'\n",
  'packages/busbar/src/sqlite/broker.ts': "export { message } from '../sql/log.ts'\n",
  'packages/busbar/src/memory/broker.ts': "export { message } from '../broker/broker.ts'\n",
  'packages/busbar/src/testing/deep/suite.ts': "export { message } from '../../bus/bus.ts'\n",
  'packages/busbar/src/factory.ts': "export { message } from './sqlite/broker.ts'\n",
  'packages/busbar/src/message/message.test.ts': "export { message } from '../bus/bus.ts'\n",
  'examples/one/main.ts': "export { message } from 'busbar'\n",
}

describe('the lint rules of the house', () => {
  let house: string

  beforeAll(async () => {
    house = await mkdtemp(join(tmpdir(), 'busbar-house-'))
    for (const path of ['.oxlintrc.json', 'script/house.ts', 'tsconfig.json', 'tsconfig.base.json', 'package.json']) {
      await cp(join(root, path), join(house, path), { recursive: true })
    }
    await symlink(join(root, 'node_modules'), join(house, 'node_modules'))
  })
  afterAll(() => rm(house, { recursive: true, force: true }))

  /** Lints the sound house with some files changed, and says which rule complained about which file. */
  async function lint(changed: Readonly<Record<string, string>>): Promise<readonly string[]> {
    for (const place of ['packages', 'examples']) await rm(join(house, place), { recursive: true, force: true })
    for (const [path, text] of Object.entries({ ...sound, ...changed })) {
      await mkdir(dirname(join(house, path)), { recursive: true })
      await writeFile(join(house, path), text)
    }
    const { code, stdout } = await node([oxlint, '--format=json', 'packages', 'examples'], house)
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] }
    expect(code === 0, stdout).toBe(diagnostics.length === 0)
    return diagnostics.map((problem) => `${problem.code} ${problem.filename}`).toSorted()
  }

  test('a sound house passes, and its tests may look at all of it', async () => {
    expect(await lint({})).toEqual([])
  })

  test.each([
    ['the ground importing the engine', 'message/contract.ts', "export { message } from '../bus/bus.ts'\n"],
    ['the port importing an adapter', 'broker/native.ts', "export { message } from '../memory/broker.ts'\n"],
    ['the engine importing an adapter', 'bus/engine.ts', "export { message } from '../sqlite/broker.ts'\n"],
    ['an adapter importing the engine', 'memory/engine.ts', "export { message } from '../bus/bus.ts'\n"],
    ['an adapter importing another', 'memory/log.ts', "export { message } from '../sql/log.ts'\n"],
    ['the SQL log importing its dialect', 'sql/dialect.ts', "export { message } from '../sqlite/broker.ts'\n"],
    ['an adapter importing a face', 'sqlite/spy.ts', "export { message } from '../testing/deep/suite.ts'\n"],
    ['an adapter importing the factory', 'sqlite/url.ts', "export { message } from '../factory.ts'\n"],
    ['an upward import from a deeper folder', 'sql/deep/x.ts', "export { message } from '../../bus/bus.ts'\n"],
    [
      'an upward import of a type',
      'message/t.ts',
      "import type * as bus from '../bus/bus.ts'\nexport type T = typeof bus\n",
    ],
    ['an upward type written in place', 'message/u.ts', "export type T = typeof import('../bus/bus.ts')\n"],
    ['an upward import while running', 'bus/late.ts', "export const late = () => import('../sqlite/broker.ts')\n"],
    ['a folder that has no place yet', 'pigeon/broker.ts', "export { message } from '../message/message.ts'\n"],
    ['the library importing its own name', 'bus/self.ts', "export { message } from 'busbar/message'\n"],
    ['the library importing a test', 'bus/probe.ts', "export { message } from '../message/message.test.ts'\n"],
    [
      'the library importing what is not packed',
      'bus/out.ts',
      "export { x } from '../../../../examples/one/main.ts'\n",
    ],
  ])('%s is an error', async (_, file, text) => {
    const path = `packages/busbar/src/${file}`
    expect(await lint({ [path]: text })).toContain(`house(arrows) ${path}`)
  })

  test("an example that reaches into the library's sources is an error", async () => {
    const path = 'examples/one/back.ts'
    expect(await lint({ [path]: "export { message } from '../../packages/busbar/src/bus/bus.ts'\n" })).toContain(
      `house(arrows) ${path}`,
    )
  })

  test.each([
    [
      'values',
      "import { b } from './b.ts'\nexport const a = () => b\n",
      "import { a } from './a.ts'\nexport const b = () => a\n",
    ],
    [
      'types',
      "import type { B } from './b.ts'\nexport type A = B[]\n",
      "import type { A } from './a.ts'\nexport type B = A[]\n",
    ],
  ])('a circle of %s is an error', async (_, a, b) => {
    const problems = await lint({ 'packages/busbar/src/bus/a.ts': a, 'packages/busbar/src/bus/b.ts': b })
    expect(problems).toContain('import(no-cycle) packages/busbar/src/bus/a.ts')
  })

  test('a promise that nobody waits for is an error', async () => {
    const path = 'packages/busbar/src/bus/floating.ts'
    const text = 'async function work(): Promise<void> {}\nexport function begin(): void {\n  work()\n}\n'
    expect(await lint({ [path]: text })).toContain(`typescript(no-floating-promises) ${path}`)
  })
})
