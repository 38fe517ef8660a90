import { type ContractLike, definitionOf } from '../contract.ts'
import type { Definition } from '../definition.ts'
import { sameSchema } from './canonical.ts'
import {
  checkCompatibility,
  type CompatibilityLevel,
  type CompatibilityResult,
  SchemaCompatibilityError,
} from './compatibility.ts'
import { type RegisteredSchema, SchemaConflictError, type SchemaRegistry } from './registry.ts'

export interface RegisterOptions {
  /** Refuse also what cannot be judged and what has no schema. Default false: the results say so. */
  readonly refuseUnknown?: boolean
}

/**
 * Compares contracts with what is registered, and registers nothing. For CI, beside `registerContracts`.
 *
 * A version that is registered is not compared again: an old program that is started anew keeps running.
 * @throws SchemaConflictError when a contract has another schema than its version is registered with.
 */
export function checkContracts(
  registry: SchemaRegistry,
  contracts: readonly ContractLike[],
  level: CompatibilityLevel,
): Promise<readonly CompatibilityResult[]> {
  return checkDefinitions(registry, contracts.map(definitionOf), level)
}

/**
 * Compares contracts with what is registered, and registers them all, or none.
 *
 * @returns What was found of each, in their order.
 * @throws SchemaCompatibilityError with all that is wrong, SchemaConflictError. Nothing was registered then.
 */
export function registerContracts(
  registry: SchemaRegistry,
  contracts: readonly ContractLike[],
  level: CompatibilityLevel,
  options?: RegisterOptions,
): Promise<readonly CompatibilityResult[]> {
  return registerDefinitions(registry, contracts.map(definitionOf), level, options)
}

/** `registerContracts` for definitions. */
export async function registerDefinitions(
  registry: SchemaRegistry,
  definitions: readonly Definition[],
  level: CompatibilityLevel,
  { refuseUnknown = false }: RegisterOptions = {},
): Promise<readonly CompatibilityResult[]> {
  const results = await checkDefinitions(registry, definitions, level)
  const refused = results.filter(({ verdict }) =>
    refuseUnknown && level !== 'NONE'
      ? verdict !== 'compatible' && verdict !== 'registered'
      : verdict === 'incompatible',
  )
  if (refused.length > 0) throw new SchemaCompatibilityError(refused)
  for (const definition of definitions) await registry.register(entryOf(definition).entry)
  return results
}

async function checkDefinitions(
  registry: SchemaRegistry,
  definitions: readonly Definition[],
  level: CompatibilityLevel,
): Promise<readonly CompatibilityResult[]> {
  const results: CompatibilityResult[] = []
  for (const definition of definitions) {
    const { entry, why } = entryOf(definition)
    const versions = await registry.versions(entry.type)
    results.push(check(entry, versions, level, why))
  }
  return results
}

function check(
  entry: RegisteredSchema,
  versions: readonly RegisteredSchema[],
  level: CompatibilityLevel,
  why: string | undefined,
): CompatibilityResult {
  const { type, version, schema } = entry
  const known = versions.find((each) => each.version === version)
  if (known?.schema !== undefined && schema !== undefined) {
    if (!sameSchema(known.schema, schema)) throw new SchemaConflictError(type, version)
    return { type, version, level, verdict: 'registered', breaks: [], unknown: [], notes: [] }
  }
  // Another program knows the schema of this version, and has had it checked.
  if (known?.schema !== undefined) return checkCompatibility(entry, [], level, why)
  return checkCompatibility(
    entry,
    versions.filter((each) => each !== known),
    level,
    why,
  )
}

function entryOf(definition: Definition): { readonly entry: RegisteredSchema; readonly why?: string } {
  const { type, version, upcastsFrom } = definition
  const wire = definition.jsonSchema()
  if ('schema' in wire) return { entry: { type, version, schema: wire.schema, upcastsFrom } }
  return { entry: { type, version, upcastsFrom }, why: wire.reason }
}
