import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { node, npm, run } from './program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const manifest = JSON.parse(await readFile(join(root, 'packages/busbar/package.json'), 'utf8')) as {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}
const paths = Object.keys(manifest.exports).map((path) => path.replace('.', 'busbar'))
/** Import paths of adapters whose declarations speak of their client's types. */
const withClient = ['redis', 'kafka', 'rabbitmq', 'nats', 'bullmq', 'postgres'].map((name) => `busbar/${name}`)
const tsc = join(root, 'node_modules/typescript/bin/tsc')

describe('the packed library', () => {
  let place: string
  let tarball: string
  let files: readonly string[]

  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), 'busbar-package-'))
    ;({ tarball, files } = await pack(join(place, 'workspace')))
  }, 180_000)
  afterAll(() => rm(place, { recursive: true, force: true }))

  test('holds what was built, its README and licence, and nothing else', () => {
    const meant = /^(package\.json|README\.md|LICENSE|dist\/.+\.(js|d\.ts))$/
    expect(files.filter((file) => !meant.test(file))).toEqual([])
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']))
  })

  test('holds no tests and no fixtures', () => {
    expect(files.filter((file) => /(\.test\.|\.test-d\.|\.type\.|fixtures\/)/.test(file))).toEqual([])
  })

  test('holds the conformance suite, which is part of the product', () => {
    expect(files.filter((file) => file.startsWith('dist/testing/conformance/')).length).toBeGreaterThan(1)
  })

  test('is clean for publint', async () => {
    const bytes = await readFile(tarball)
    const { messages } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true })
    expect(messages).toEqual([])
  })

  test('has the right types at every path for ESM users', async () => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js')
    const { code, stdout, stderr } = await node(
      [attw, tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color'],
      place,
    )
    expect(code, stdout + stderr).toBe(0)
  })

  describe('installed in an empty project', () => {
    let project: string
    let readme: { readonly program: string; readonly output: string; readonly tour: string }

    beforeAll(async () => {
      readme = helloWorld(await readFile(join(root, 'README.md'), 'utf8'))
      project = join(place, 'project')
      await mkdir(join(project, 'node_modules/@types'), { recursive: true })
      await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }')
      await npm(['install', '--no-audit', '--no-fund', '--prefer-offline', tarball, ...others(readme.program)], project)
      // Its users bring a TypeScript and the types of Node themselves: here, those of the workspace.
      await mkdir(join(project, 'node_modules/@types'), { recursive: true })
      await symlink(join(root, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'))
    }, 180_000)

    test.each(paths)('%s can be imported', async (path) => {
      const program = `const all = await import(${JSON.stringify(path)}${path.endsWith('.json') ? ', { with: { type: "json" } }' : ''}); console.log(Object.keys(all).length)`
      const { code, stdout, stderr } = await node(['--input-type=module', '--eval', program], project)
      expect(code, stderr).toBe(0)
      expect(Number(stdout), 'names that it exports').toBeGreaterThan(0)
    })

    test('type-checks without any client at every path that has none, under the strictest settings', async () => {
      const free = paths.filter((path) => !withClient.includes(path))
      expect(await complaints(project, 'every-path.ts', importing(free))).toBe('')
    })

    test('type-checks with the clients beside it at every path, under the strictest settings', async () => {
      const full = join(place, 'with-clients')
      await cp(join(project, 'node_modules'), join(full, 'node_modules'), { recursive: true })
      for (const peer of Object.keys(manifest.peerDependencies)) {
        const at = [join(root, 'packages/busbar/node_modules', peer), join(root, 'node_modules', peer)].find(existsSync)
        if (at === undefined) throw new Error(`the workspace has no ${peer}`)
        await mkdir(dirname(join(full, 'node_modules', peer)), { recursive: true })
        await symlink(at, join(full, 'node_modules', peer))
      }
      // What clients' own declarations complain of is not Busbar's.
      const own = /^(every-path\.ts|node_modules\/busbar\/)/
      const lines = (await complaints(full, 'every-path.ts', importing(paths))).split('\n')
      expect(lines.filter((line) => own.test(line))).toEqual([])
    })

    test("type-checks the README's tour of what it can do", async () => {
      expect(readme.tour).toMatch(/bus\.request[^]*bridge\(/)
      expect(await complaints(project, 'tour.ts', `${TOUR}\n${readme.tour}`)).toBe('')
    })

    test('type-checks and runs the page on event sourcing, block after block as one program', async () => {
      const page = await readFile(join(root, 'docs/event-sourcing.md'), 'utf8')
      const blocks = Array.from(page.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, block]) => block)
      expect(blocks.length).toBeGreaterThan(5)
      expect(await complaints(project, 'event-sourcing.ts', blocks.join('\n'))).toBe('')
      const { code, stderr } = await node(['event-sourcing.ts'], project)
      expect(code, stderr).toBe(0)
    })

    test("type-checks and runs the README's hello world, which prints what the README says", async () => {
      expect(await complaints(project, 'hello.ts', readme.program)).toBe('')
      const { code, stdout, stderr } = await node(['hello.ts'], project)
      expect(code, stderr).toBe(0)
      expect(stdout.trimEnd()).toBe(readme.output.trimEnd())
    })
  })
})

/** A program that imports and uses all of some import paths. */
function importing(some: readonly string[]): string {
  const modules = some.filter((path) => !path.endsWith('.json'))
  const imports = modules.map((path, at) => `import * as all${at} from '${path}'`)
  return [...imports, ...imports.map((_, at) => `console.log(all${at})`)].join('\n')
}

/** What the compiler says of a program in a project; empty if all is well. */
async function complaints(project: string, file: string, program: string): Promise<string> {
  await writeFile(join(project, file), program)
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: strictest, files: [file] }))
  const { code, stdout, stderr } = await node([tsc, '-p', 'tsconfig.json'], project)
  return code === 0 ? '' : `exit ${code}:\n${stdout}${stderr}`
}

const strictest = {
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
}

/** Packs a copy of what packing needs, so that the `dist` which other tests may be using is left alone. */
async function pack(workspace: string): Promise<{ tarball: string; files: readonly string[] }> {
  const needed = ['package.json', 'tsconfig.base.json', 'README.md', 'LICENSE', 'script/prepack.ts']
  const library = ['package.json', 'tsconfig.build.json', 'src'].map((path) => `packages/busbar/${path}`)
  for (const path of [...needed, ...library]) await cp(join(root, path), join(workspace, path), { recursive: true })
  await symlink(join(root, 'node_modules'), join(workspace, 'node_modules'))
  const folder = join(workspace, 'packages/busbar')
  // What npm could not hoist, where there is such a thing.
  const own = join(root, 'packages/busbar/node_modules')
  if (existsSync(own)) await symlink(own, join(folder, 'node_modules'))
  await npm(['pack', '--silent', '--pack-destination', workspace], folder)
  const tarball = join(workspace, `busbar-${manifest.version}.tgz`)
  const { stdout } = await run('tar', ['-tzf', tarball], workspace)
  return {
    tarball,
    files: stdout
      .trim()
      .split('\n')
      .map((file) => file.replace('package/', '')),
  }
}

/** The first TypeScript block of the README and the output that follows it. */
function helloWorld(text: string): { program: string; output: string; tour: string } {
  const [, program, output] = /^```ts\n([\s\S]*?)^```$[\s\S]*?^```text\n([\s\S]*?)^```$/m.exec(text) ?? []
  if (program === undefined || output === undefined)
    throw new Error('README.md has no ```ts block followed by a ```text block')
  const [, , ...others] = text.split(/^```ts\n/m)
  const tour = others.map((block) => block.slice(0, block.indexOf('```'))).join('\n')
  return { program, output, tour }
}

/** What the blocks after the hello world take for granted. */
const TOUR = `
import { command, createEventBus, createEventStore, enrichment, event, filtering, logging, type Message, on, query, timeout, typed } from 'busbar'
import { bridge } from 'busbar/bridge'
import { pgInbox } from 'busbar/inbox'
import { MemoryBroker } from 'busbar/memory'
import { fromPg } from 'busbar/transaction'
declare const client: { query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>; release(): void }
declare const pool: { connect(): Promise<typeof client> }
const bus = await createEventBus('memory:')
const OrderPlaced = event('OrderPlaced', typed<{ orderId: string }>())
const OrderCancelled = event('OrderCancelled', typed<{ orderId: string; reason: string }>())
const ChargeCard = command('ChargeCard', typed<{ orderId: string }>())
const GetTotal = query('GetTotal', typed<{ orderId: string }>(), typed<{ total: number }>())
const orders: { orderId: string }[] = []
const charge = ({ data }: Message<{ orderId: string }>): void => console.log(data.orderId)
const refund = ({ data }: Message<{ orderId: string; reason: string }>): void => console.log(data.reason)
const archive = (message: Message): void => console.log(message.id)
const addTenant = () => ({ metadata: { tenantId: 't' } })
const onlyMine = (message: Message): boolean => message.metadata.tenantId === 't'
const [sqlite, kafka] = [new MemoryBroker(), new MemoryBroker()]
`

/** What a program imports beside busbar, at the versions that the workspace uses. */
function others(program: string): readonly string[] {
  const names = [...program.matchAll(/from '([^']+)'/g)].map(([, name = '']) => name)
  const packages = names.filter(
    (name) => !name.startsWith('node:') && !builtinModules.includes(name) && !name.startsWith('busbar'),
  )
  return packages.map((name) => `${name}@${manifest.devDependencies[name] ?? 'latest'}`)
}
