/**
 * The decorators as compilers call them. The test runner does not lower TC39 decorators, so the fixtures (the same sources
 * for both dialects) are compiled with `tsc`, together with the library, and run by Node.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const exec = promisify(execFile)
const root = fileURLToPath(new URL('../../../..', import.meta.url))
const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))

interface Dialect {
  readonly name: string
  readonly files: readonly string[]
  readonly compilerOptions: object
}

const tc39: Dialect = { name: 'TC39', files: ['run.ts', 'wrong.ts'], compilerOptions: { target: 'es2022' } }
const legacy: Dialect = {
  name: 'legacy TypeScript',
  files: ['run.ts', 'wrong.ts'],
  compilerOptions: {
    target: 'es2022',
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    // Metadata needs the classes of parameters as values; NestJS projects compile like this.
    verbatimModuleSyntax: false,
    isolatedModules: false,
  },
}

const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

/** Compiles the fixtures and resolves to the folder of what came out; rejects with what the compiler says. */
async function compile({ files, compilerOptions }: Dialect): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'busbar-decorators-'))
  folders.push(folder)
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      ...compilerOptions,
      rootDir: join(root, 'packages/busbar/src'),
      outDir: join(folder, 'out'),
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: files.map((file) => join(fixtures, file)),
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]
  await exec(process.execPath, tsc).catch((error: { stdout: string }) => {
    throw new Error(error.stdout)
  })
  return folder
}

async function run(folder: string, file: string): Promise<unknown> {
  const { stdout } = await exec(process.execPath, [join(folder, 'out/decorators/fixtures', file)])
  return JSON.parse(stdout)
}

describe.each([tc39, legacy])('decorators of the $name dialect', (dialect) => {
  let results: Record<string, unknown>

  beforeAll(async () => {
    // Fails also where an error that `wrong.ts` expects is none.
    results = (await run(await compile(dialect), 'run.js')) as Record<string, unknown>
  })

  test('wrong payloads, answers and kinds of message are compile errors', async () => {
    const told = compile({ ...dialect, files: ['unexpected.ts'] })
    await expect(told).rejects.toThrow(`Type '"shop.Placed"' is not assignable to type '"shop.Paid"'`)
    await expect(told).rejects.toThrow(`Type 'string' is not assignable to type 'number | Promise<number>'`)
  })

  test('constructing decorated classes attaches nothing', () => {
    expect(results['constructing']).toEqual({ made: 6, types: [], subscriptions: 0 })
  })

  test('all event methods of an instance share one group, so order by key holds across them', () => {
    const done = (results['shared'] as string[]).filter(
      (line) => line.startsWith('billing') && !line.includes('legacy'),
    )
    expect(done).toEqual(['billing handle o-1 42 true', 'billing paid o-1 shop.billing', 'billing cancelled o-1 true'])
  })

  test('a method that subscribes to a pattern handles types without a contract', () => {
    expect(results['shared']).toContain('billing legacy shop.legacy.Placed')
  })

  test('a method with options is a subscription of its own', () => {
    const audited = (results['shared'] as string[]).filter((line) => line.startsWith('audit'))
    expect(audited.toSorted()).toEqual(
      ['shop.Placed', 'shop.Paid', 'shop.Cancelled', 'shop.legacy.Placed'].map((type) => `audit ${type}`).toSorted(),
    )
  })

  test('a registration tells the handlers, their types and their groups', () => {
    const { handlers, types } = results['registered'] as { handlers: { handler: string }[]; types: string[] }
    expect(types).toEqual(['*', 'shop.Cancelled', 'shop.Paid', 'shop.Placed', 'shop.legacy.*'])
    expect(handlers.toSorted((a, b) => (a.handler < b.handler ? -1 : 1))).toEqual([
      { kind: 'event', handler: 'billing.audit', types: ['*'], group: 'audit' },
      { kind: 'event', handler: 'billing.cancelled', types: ['shop.Cancelled'], group: 'shop.billing' },
      { kind: 'event', handler: 'billing.handle', types: ['shop.Placed'], group: 'shop.billing' },
      { kind: 'event', handler: 'billing.legacy', types: ['shop.legacy.*'], group: 'shop.billing' },
      { kind: 'event', handler: 'billing.paid', types: ['shop.Paid'], group: 'shop.billing' },
    ])
  })

  test('the options of the class apply to its methods, and a dead letter names the method', () => {
    expect(results['deadLetter']).toEqual({ group: 'shop.billing', handler: 'billing.paid', error: 'not paid' })
  })

  test('@HandleEvent() handles the event of its class', () => {
    expect(results['ofTheClass']).toEqual(['mail o-9'])
  })

  test('classes and methods handle commands, and methods answer queries', () => {
    expect((results['commands'] as string[]).toSorted()).toEqual(['refund o-2', 'ship o-1', 'total 5'])
  })

  test('the same instance cannot be registered twice', () => {
    expect(results['twice']).toContain('this Billing is registered on this bus already')
  })

  test('a second handler of a command is refused, and none of its methods stays attached', () => {
    const { refused, left } = results['secondCommandHandler'] as { refused: string; left: number }
    expect(refused).toContain(`command 'shop.Refund' has a handler on this bus already`)
    expect(left).toBe(2)
  })

  test('base classes keep their handlers; an override takes over what it overrides unless it says otherwise', () => {
    expect(results['inherited']).toEqual({
      base: ['base placed', 'base settled'],
      derived: ['derived placed', 'derived settled shop.Cancelled'],
    })
  })

  test('several events without a stable name are refused', () => {
    expect(results['nameless']).toMatch(/Base handles 2 events and has no name .* @EventHandler\({ name: 'billing' }\)/)
  })

  test("a decorator of somebody else's that replaces the method may stand on either side", () => {
    expect(results['replaced']).toEqual(['traced', 'inner', 'traced', 'inner'])
  })

  test('BaseEventHandler needs no decorator', () => {
    expect(results['extending']).toEqual(['receipts o-1', 'receipts o-1'])
  })
})

test('in the legacy dialect @HandleEvent() takes the event class of its parameter, where the compiler keeps it', async () => {
  const folder = await compile({ ...legacy, files: ['parameters.ts'] })
  expect(await run(folder, 'parameters.js')).toEqual(['notify o-5', 'restock o-5'])
})
