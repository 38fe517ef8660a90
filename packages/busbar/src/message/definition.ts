import { reviverOf } from './dates.ts'
import { ConfigurationError } from './errors.ts'
import type { Message, MessageKind, Priority } from './message.ts'
import type { PersonalFields } from './personal.ts'
import type { JsonSchema } from './schemas/json-schema.ts'
import { type WireSchema, wireSchemaOf } from './schemas/wire-schema.ts'
import { checks, validatorOf } from './schema.ts'
import type { Schema, Validate } from './schema.ts'
import { checkUpcasters, oldestUpcast, upcast } from './upcast.ts'
import type { Upcasters } from './upcast.ts'

/** A contract or event class as the engine uses it: one shape for all of them, without their types. */
export interface Definition {
  readonly kind: MessageKind
  readonly type: string
  readonly version: number
  readonly topic?: string | undefined
  readonly priority?: Priority | undefined
  /** Dot paths of personal data, whose values no error quotes. Indexes are left out or written `*`. */
  readonly personal: readonly string[]
  /** What stands at each of them once it is forgotten, where that is declared. */
  readonly placeholders: ReadonlyMap<string, unknown>
  /** For data at publish. Absent where nothing is checked (`typed()`). */
  readonly validate?: Validate | undefined
  /** For data off a wire: the same, and ISO-8601 strings become Dates where the schema wants Dates. */
  readonly read?: Validate | undefined
  /** The same as `read` for the answer to a query. */
  readonly answer?: Validate | undefined
  /**
   * Brings data of an older version up to this one.
   * @throws ValidationError when the version is newer, or when no upcaster leads from it.
   */
  upcast(data: unknown, from: number): unknown
  /** Oldest version from which upcasters lead to this one without a gap; this one itself where there are none. */
  readonly upcastsFrom: number
  /** JSON Schema of the data as it travels: what was declared, else what the schema's library says, or why there is none. */
  jsonSchema(): WireSchema
  /** Makes an instance of its class of a message, where the contract is a class. */
  readonly hydrate?: ((message: Message) => Message) | undefined
  readonly keyOf?: Derive | undefined
  readonly subjectOf?: Derive | undefined
  /** Whose personal data it is, where that is not the subject. */
  readonly personOf?: Derive | undefined
}

/** What is taken from the data, if anything. Parameters may be narrower than `unknown`. */
export type Derive = { derive(data: unknown): string | undefined }['derive']

/** What a definition is made from. */
export interface Declaration {
  readonly kind: MessageKind
  readonly type: string
  readonly version?: number | undefined
  readonly schema?: Schema | undefined
  readonly answer?: Schema | undefined
  readonly jsonSchema?: JsonSchema | undefined
  readonly topic?: string | undefined
  readonly priority?: Priority | undefined
  readonly personal?: PersonalFields | undefined
  readonly person?: Derive | undefined
  readonly upcast?: Upcasters | undefined
  readonly key?: Derive | undefined
  readonly subject?: Derive | undefined
  readonly hydrate?: Definition['hydrate']
}

/** @throws ConfigurationError when the type, version or upcasters make no sense. */
export function define(declaration: Declaration): Definition {
  const {
    kind,
    type,
    version = 1,
    schema,
    answer,
    jsonSchema,
    topic,
    priority,
    personal = [],
    upcast: upcasters = {},
  } = declaration
  checkType(type)
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new ConfigurationError(`${type} has version ${version}: a version is a whole number, 1 or more`)
  }
  if (topic === '') throw new ConfigurationError(`${type} has an empty topic: name one, or leave it out`)
  checkUpcasters(upcasters, type, version)
  return {
    kind,
    type,
    version,
    topic,
    priority,
    personal: Array.isArray(personal) ? personal : Object.keys(personal),
    placeholders: new Map(Array.isArray(personal) ? [] : Object.entries(personal)),
    validate: checks(schema) ? validatorOf(schema) : undefined,
    read: checks(schema) ? reviverOf(schema) : undefined,
    answer: checks(answer) ? reviverOf(answer) : undefined,
    upcast: (data, from) => upcast(upcasters, type, version, data, from),
    upcastsFrom: oldestUpcast(upcasters, version),
    jsonSchema: () => (jsonSchema === undefined ? wireSchemaOf(schema) : { schema: jsonSchema }),
    hydrate: declaration.hydrate,
    keyOf: declaration.key,
    subjectOf: declaration.subject,
    personOf: declaration.person,
  }
}

/** A star would make it a pattern; what cannot be seen cannot be typed by whoever subscribes to it. */
function checkType(type: unknown): void {
  if (typeof type === 'string' && /^[^\s*\p{C}]{1,200}$/u.test(type)) return
  throw new ConfigurationError(
    `${JSON.stringify(type)} is no name for a message: use 1 to 200 characters without spaces and stars, ` +
      `for example 'OrderPlaced' or 'order.placed'`,
  )
}
