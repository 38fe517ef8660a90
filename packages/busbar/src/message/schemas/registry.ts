import { ConfigurationError } from '../errors.ts'
import type { JsonSchema } from './json-schema.ts'

/** One version of one message's schema, as it is registered. Plain JSON. */
export interface RegisteredSchema {
  /** Name of the contract. */
  readonly type: string
  /** 1 or more. */
  readonly version: number
  /** Absent where the contract has none: the version is known, and cannot be checked. */
  readonly schema?: JsonSchema
  /** Oldest version whose data this one's upcasters bring up to it; its own where there are none. */
  readonly upcastsFrom: number
}

/**
 * Where schemas are kept, by type and version. What was registered stays as it is: data of it may exist for ever.
 * Shared by everyone who has the same messages; safe to use by several at once.
 */
export interface SchemaRegistry {
  /**
   * Adds a version. The same again changes nothing, and neither does one without schema where there is one; a schema is
   * added to a version that had none. Compatibility is not checked here: see `registerContracts`.
   *
   * @throws SchemaConflictError when the version is registered with another schema (see `sameSchema`).
   */
  register(entry: RegisteredSchema): Promise<void>
  /** Undefined: it is not registered. */
  get(type: string, version: number): Promise<RegisteredSchema | undefined>
  /** All that is registered of a type, oldest version first. Empty: the type is unknown. */
  versions(type: string): Promise<readonly RegisteredSchema[]>
  /** Every type, in order of its name. */
  types(): Promise<readonly string[]>
}

/** A version is registered with another schema than it has now. */
export class SchemaConflictError extends ConfigurationError {
  override readonly name: string = 'SchemaConflictError'
  readonly type: string
  readonly version: number

  constructor(type: string, version: number) {
    super(
      `${type} version ${version} is registered with another schema, and data of that may exist: ` +
        `declare the changed schema as version ${version + 1}, with an upcaster from ${version}, as in ` +
        `{ version: ${version + 1}, upcast: { ${version}: (old) => new } }`,
    )
    this.type = type
    this.version = version
  }
}
