/**
 * The JSON Schema of data as it travels. What is sent is the data as given, so it is the *input* of the schema, with
 * dates as the ISO strings that they become.
 *
 * Zod and ArkType say it themselves (Standard JSON Schema); a Valibot schema does once it went through
 * `toStandardJsonSchema` of `@valibot/to-json-schema`. Checks written in code (`refine`, `narrow`) are not part of it.
 */
import type { StandardJSONSchemaV1 } from '@standard-schema/spec'
import { checks, type Schema } from '../schema.ts'
import { isKeywords, type JsonSchema, UNREPRESENTABLE } from './json-schema.ts'

/** The JSON Schema, or why there is none. */
export type WireSchema = { readonly schema: JsonSchema } | { readonly reason: string }

export function wireSchemaOf(schema: Schema | undefined): WireSchema {
  if (!checks(schema)) return { reason: 'it declares only a type' }
  const standard = schema['~standard'] as Schema['~standard'] & Partial<StandardJSONSchemaV1.Props>
  if (standard.jsonSchema === undefined) {
    const how = standard.vendor === 'valibot' ? 'wrap it in toStandardJsonSchema of @valibot/to-json-schema' : ''
    return { reason: `its schema (${standard.vendor}) offers no JSON Schema${how === '' ? '' : `: ${how}`}` }
  }
  try {
    const libraryOptions = VENDORS[standard.vendor]
    const target = 'draft-2020-12'
    // Through JSON: what is compared is what a registry stores.
    const said: unknown = JSON.parse(
      JSON.stringify(standard.jsonSchema.input(libraryOptions === undefined ? { target } : { target, libraryOptions })),
    )
    if (isKeywords(said)) return { schema: said }
    return { reason: `its schema (${standard.vendor}) gives a JSON Schema that is no object` }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { reason: `its schema (${standard.vendor}) cannot be said as JSON Schema: ${why}` }
  }
}

const DATE = { type: 'string', format: 'date-time' } as const
/** JSON never carries `undefined`. */
const NOTHING = { not: {} } as const

/**
 * Told to each library in its own words: dates are ISO strings, and what cannot be represented is marked as such. Left to
 * themselves they refuse the whole schema, or call such a place "anything", which would be compatible with anything.
 */
const VENDORS: Readonly<Record<string, Record<string, unknown>>> = {
  zod: {
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }: { zodSchema: ZodLike; jsonSchema: Record<string, unknown> }) => {
      const { type } = zodSchema._zod.def
      if (type === 'date') Object.assign(jsonSchema, DATE)
      else if (type === 'undefined' || type === 'void') Object.assign(jsonSchema, NOTHING)
      else if (UNREPRESENTABLE_IN_ZOD.has(type) && Object.keys(jsonSchema).length === 0)
        jsonSchema[UNREPRESENTABLE] = type
    },
  },
  arktype: {
    fallback: {
      date: () => DATE,
      predicate: ({ base }: ArkContext) => base,
      morph: ({ base }: ArkContext) => base,
      defaultValue: ({ base }: ArkContext) => base,
      unit: (context: ArkContext) => (context.unit === undefined ? NOTHING : marked(context)),
      default: (context: ArkContext) => marked(context),
    },
  },
  valibot: {
    errorMode: 'ignore',
    overrideSchema: ({ valibotSchema, jsonSchema, errors }: ValibotContext) => {
      if (valibotSchema.type === 'date') return DATE
      if (valibotSchema.type === 'undefined' || valibotSchema.type === 'void') return NOTHING
      return errors === undefined ? undefined : { ...jsonSchema, [UNREPRESENTABLE]: valibotSchema.type }
    },
  },
}

interface ZodLike {
  readonly _zod: { readonly def: { readonly type: string } }
}

const UNREPRESENTABLE_IN_ZOD: ReadonlySet<string> = new Set([
  'bigint',
  'custom',
  'function',
  'map',
  'nan',
  'promise',
  'set',
  'symbol',
  'transform',
])

interface ArkContext {
  readonly code: string
  readonly base: Record<string, unknown>
  readonly unit?: unknown
}

function marked({ base, code }: ArkContext): Record<string, unknown> {
  return { ...base, [UNREPRESENTABLE]: code }
}

interface ValibotContext {
  readonly valibotSchema: { readonly type: string }
  readonly jsonSchema: Record<string, unknown>
  readonly errors?: readonly string[]
}
