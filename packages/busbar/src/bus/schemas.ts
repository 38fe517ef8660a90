import type { Definition } from '../message/definition.ts'
import { type CompatibilityLevel, registerDefinitions, type SchemaRegistry } from '../message/schemas/index.ts'
import type { Logger } from './logger.ts'

export interface SchemaOptions {
  readonly registry: SchemaRegistry
  /** What each new version of a contract is held to. */
  readonly compatibility: CompatibilityLevel
  /** Refuse also what cannot be judged and contracts without a JSON Schema. Default false: they are logged as warnings. */
  readonly refuseUnknown?: boolean
}

/** Registers the contracts of one bus, each once. */
export class Schemas {
  readonly #options: SchemaOptions | undefined
  readonly #logger: Logger
  readonly #registered = new Set<Definition>()

  constructor(options: SchemaOptions | undefined, logger: Logger) {
    this.#options = options
    this.#logger = logger
  }

  /** @throws SchemaCompatibilityError listing all that is wrong, SchemaConflictError. Nothing was registered then. */
  async register(definitions: readonly Definition[]): Promise<void> {
    const added = [...new Set(definitions)].filter((each) => !this.#registered.has(each))
    if (this.#options === undefined || added.length === 0) return
    const { registry, compatibility, refuseUnknown = false } = this.#options
    const results = await registerDefinitions(registry, added, compatibility, { refuseUnknown })
    for (const each of added) this.#registered.add(each)
    if (compatibility === 'NONE') return
    for (const { type, version, verdict, unknown, notes } of results) {
      const words = [...unknown.map(({ text }) => text), ...notes]
      if (words.length === 0) continue
      this.#logger.warn({ type, version, compatibility, verdict }, `${type} version ${version}: ${words.join('; ')}`)
    }
  }
}
