/** A JSON Schema (draft 2020-12): an object of keywords, or `true` for anything and `false` for nothing. */
export type JsonSchema = boolean | Keywords

export interface Keywords {
  readonly [keyword: string]: unknown
}

/** Said in place of what JSON Schema has no words for, for example a Map; the checker reports it as unknown. */
export const UNREPRESENTABLE = 'x-unrepresentable'

/** They describe, and refuse nothing. `format` is not among them: schema libraries check it. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  '$comment',
  '$schema',
  '$id',
  '$anchor',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
])

/** Keywords whose value has schemas by names: a name in there is no keyword. */
export const MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  'dependentSchemas',
  '$defs',
  'definitions',
])

export function isKeywords(value: unknown): value is Keywords {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || isKeywords(value)
}

/** Whether nothing fits it: `false`, or `not` of anything, as libraries write it. */
export function isNever(schema: JsonSchema): boolean {
  if (typeof schema === 'boolean') return !schema
  return schema['not'] === true || (isKeywords(schema['not']) && Object.keys(schema['not']).length === 0)
}

/** What `$ref` names in the same document. Undefined: it is elsewhere, or nowhere. */
export function resolve(root: JsonSchema, ref: unknown): JsonSchema | undefined {
  if (typeof ref !== 'string' || (ref !== '#' && !ref.startsWith('#/'))) return undefined
  let at: unknown = root
  for (const step of ref.split('/').slice(1)) {
    const key = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as Readonly<Record<string, unknown>>)[key]
  }
  return isSchema(at) ? at : undefined
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step)
  } catch {
    return step
  }
}
