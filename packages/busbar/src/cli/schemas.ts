/** `busbar schemas check|register`: for CI, tells in words what a change of contracts breaks. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import {
  BusbarError,
  checkContracts,
  type CompatibilityLevel,
  type CompatibilityResult,
  ConfigurationError,
  type ContractLike,
  definitionOf,
  registerContracts,
  SchemaConflictError,
} from '../message/index.ts'
import { openRegistry } from './registry.ts'

const usage = `Usage: busbar schemas check|register <contracts> --registry <where> [options]

  <contracts>          a module (or several) that exports contracts, event classes, or lists of them
  --registry <where>   schemas.json (a file that is committed), sqlite:<file> or postgres://…
  --level <level>      NONE, BACKWARD (default), FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE, FULL_TRANSITIVE
  --strict             what cannot be judged counts as broken
  --json               results as JSON

check registers nothing. register does, if nothing breaks. Exit 1: something breaks; 2: the call is wrong.`

export interface Output {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** Resolves to the exit code. */
export async function schemas(args: readonly string[], { out, err }: Output): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        registry: { type: 'string' },
        level: { type: 'string', default: 'BACKWARD' },
        strict: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const [action, ...modules] = positionals
    if (values.help) {
      out(usage)
      return 0
    }
    if ((action !== 'check' && action !== 'register') || modules.length === 0 || values.registry === undefined) {
      err(usage)
      return 2
    }
    const contracts = (await Promise.all(modules.map(contractsOf))).flat()
    const opened = await openRegistry(values.registry)
    try {
      const level = values.level as CompatibilityLevel
      const results = await checkContracts(opened.registry, contracts, level)
      const isBroken = ({ verdict }: CompatibilityResult): boolean =>
        verdict === 'incompatible' || (values.strict && verdict !== 'compatible' && verdict !== 'registered')
      const broken = results.filter(isBroken)
      if (action === 'register' && broken.length === 0) {
        await registerContracts(opened.registry, contracts, level)
        await opened.save()
      }
      out(values.json ? JSON.stringify(results) : textOf(results, broken, action))
      return broken.length === 0 ? 0 : 1
    } finally {
      await opened.close()
    }
  } catch (error) {
    // A changed schema under the same version is what the command looks for, not a wrong call.
    err(error instanceof BusbarError || isParseError(error) ? (error as Error).message : String((error as Error).stack))
    return error instanceof SchemaConflictError ? 1 : 2
  }
}

/** All contracts among the exports of a module. */
async function contractsOf(path: string): Promise<readonly ContractLike[]> {
  let exported: Record<string, unknown>
  try {
    exported = (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>
  } catch (error) {
    throw new ConfigurationError(`the module ${path} cannot be loaded: ${(error as Error).message}`, { cause: error })
  }
  const found = new Set(Object.values(exported).flat().filter(isContract))
  if (found.size > 0) return [...found]
  throw new ConfigurationError(
    `the module ${path} exports no contract: export what event(), command() or query() gives`,
  )
}

function isContract(value: unknown): value is ContractLike {
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return false
  try {
    return definitionOf(value as ContractLike) !== undefined
  } catch {
    return false
  }
}

function isParseError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}

function textOf(
  results: readonly CompatibilityResult[],
  broken: readonly CompatibilityResult[],
  action: 'check' | 'register',
): string {
  const lines = results.flatMap(({ type, version, verdict, breaks, unknown, notes }) => [
    `${verdict === 'incompatible' ? '✗' : '✓'} ${type} version ${version}: ${verdict}`,
    ...breaks.map(({ text }) => `    breaks: ${text}`),
    ...unknown.map(({ text }) => `    unknown: ${text}`),
    ...notes.map((note) => `    ${note}`),
  ])
  const known = action === 'register' && broken.length === 0 ? ', registered' : ''
  return [...lines, `${results.length - broken.length} of ${results.length} contracts are compatible${known}`].join(
    '\n',
  )
}
