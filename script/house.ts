/**
 * The house's arrows as lint rules: who may import whom in `packages/busbar/src`, and that examples come in by the
 * front door. A new folder must be given its row here before anything in it can import; circles are `import/no-cycle`'s.
 */
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const ports = ['message', 'transaction', 'broker', 'store']
/** What each folder may import beside itself: the house of ARCHITECTURE.md, from the ground up. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  message: [],
  // One statement in a transaction of the user's own database.
  transaction: ['message'],
  broker: ['message', 'transaction'],
  // Its errors are those of the ports.
  store: ['message', 'transaction', 'broker'],
  bus: ports,
  // Typed events over any storage, and what is built of them. Beside the engine, which they do not need.
  eventstore: ports,
  aggregates: [...ports, 'eventstore'],
  projections: [...ports, 'eventstore'],
  // A handler's effects and the record of its message in one transaction.
  inbox: ports,
  // Encryption of personal fields, one key for each person.
  privacy: ports,
  // A broker over another one and an event store: store first, relay after.
  persistence: [...ports, 'bridge'],
  // Registries of schemas in databases.
  schemas: ports,
  // What adapters share that lease the right to hand messages out.
  leases: ports,
  // Adapters know their port, never the engine and never each other; the SQL ones share the SQL log.
  memory: ports,
  sql: [...ports, 'leases'],
  sqlite: [...ports, 'sql'],
  postgres: [...ports, 'sql'],
  // The connections of those that talk to Redis.
  ioredis: ports,
  redis: [...ports, 'leases', 'ioredis'],
  kafka: ports,
  rabbitmq: ports,
  nats: ports,
  bullmq: [...ports, 'ioredis'],
  // Over the ports alone: they take whatever brokers they are given.
  hybrid: ports,
  bridge: ports,
  // Transactions into a broker's log, and a bridge from there.
  outbox: [...ports, 'bridge'],
}
/** What people hold: these may import everything below them and each other. `''` is the files of `src` itself. */
const faces = new Set(['', 'config', 'decorators', 'testing', 'cli', 'studio', 'nestjs', 'audit', 'cqrs'])

// The workspace is found from this file, so that a copy of it (the test's) governs the copy.
const workspace = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const library = resolve(workspace, 'packages/busbar/src')

/** What is wrong with `specifier` in `file`; undefined if nothing is. */
export function objection(file: string, specifier: string): string | undefined {
  if (isUnder(library, file)) return isTest(file) ? undefined : objectionInLibrary(file, specifier)
  const fromOutside = isUnder(resolve(workspace, 'examples'), file) || isUnder(resolve(workspace, 'bench'), file)
  if (fromOutside && specifier.startsWith('.') && isUnder(library, resolve(dirname(file), specifier))) {
    return "examples and bench import 'busbar' as its users do, never its sources"
  }
  return undefined
}

function objectionInLibrary(file: string, specifier: string): string | undefined {
  if (specifier === 'busbar' || specifier.startsWith('busbar/')) {
    return 'inside the library imports are relative: its own name means what was built last'
  }
  if (!specifier.startsWith('.')) return undefined
  const target = resolve(dirname(file), specifier)
  if (!isUnder(library, target)) return 'the library may not import what is outside of its src folder: it is not packed'
  if (isTest(target)) return 'a test is not packed, so only tests may import it'

  const from = folderOf(file)
  const to = folderOf(target)
  if (from === to || faces.has(from)) return undefined
  const allowed = mayImport[from]
  if (allowed === undefined) return `${from}/ has no place in the house yet: give it a row in script/house.ts`
  if (allowed.includes(to)) return undefined
  const may = allowed.length === 0 ? 'nothing above it' : allowed.map((name) => `${name}/`).join(', ')
  return `imports run downwards only: ${from}/ may import ${may}, not ${to === '' ? 'the files of src' : `${to}/`}`
}

function isUnder(folder: string, file: string): boolean {
  return file.startsWith(folder + sep)
}

/** Tests and their fixtures may look at the whole house. */
function isTest(file: string): boolean {
  return /\.(test|test-d)\.[cm]?[jt]s$/.test(file) || file.split(sep).includes('fixtures')
}

/** The folder right under `src`; empty for a file of `src` itself. */
function folderOf(file: string): string {
  const parts = relative(library, file).split(sep)
  return parts.length > 1 ? (parts[0] ?? '') : ''
}

interface Node {
  readonly source?: { readonly value?: unknown } | null
  readonly argument?: { readonly literal?: { readonly value?: unknown } } | null
}

interface Context {
  readonly physicalFilename: string
  report(problem: { readonly message: string; readonly node: Node }): void
}

const arrows = {
  create(context: Context) {
    const check = (node: Node): void => {
      const specifier = node.source?.value ?? node.argument?.literal?.value
      if (typeof specifier !== 'string') return
      const message = objection(context.physicalFilename, specifier)
      if (message !== undefined) context.report({ message, node })
    }
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportAllDeclaration: check,
      ExportNamedDeclaration: check,
      TSImportType: check,
    }
  },
}

export default { meta: { name: 'house' }, rules: { arrows } }
