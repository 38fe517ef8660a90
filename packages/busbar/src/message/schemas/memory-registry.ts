import { sameSchema } from './canonical.ts'
import { type RegisteredSchema, SchemaConflictError, type SchemaRegistry } from './registry.ts'

/**
 * A registry in memory. It can be kept in a file that is committed, and so be checked in CI:
 *
 * @example
 * const registry = new MemorySchemaRegistry(JSON.parse(await readFile('schemas.json', 'utf8')))
 * await registerContracts(registry, [OrderPlaced, OrderPaid], 'FULL')
 * await writeFile('schemas.json', JSON.stringify(registry, null, 2))
 */
export class MemorySchemaRegistry implements SchemaRegistry {
  readonly #byType = new Map<string, Map<number, RegisteredSchema>>()

  /** @throws SchemaConflictError when a version is there twice. */
  constructor(entries: readonly RegisteredSchema[] = []) {
    for (const entry of entries) this.#add(entry)
  }

  async register(entry: RegisteredSchema): Promise<void> {
    this.#add(entry)
  }

  async get(type: string, version: number): Promise<RegisteredSchema | undefined> {
    return this.#byType.get(type)?.get(version)
  }

  async versions(type: string): Promise<readonly RegisteredSchema[]> {
    return [...(this.#byType.get(type)?.values() ?? [])].toSorted((a, b) => a.version - b.version)
  }

  async types(): Promise<readonly string[]> {
    return [...this.#byType.keys()].toSorted()
  }

  /** Everything, by type and version: what the constructor takes. */
  toJSON(): readonly RegisteredSchema[] {
    const types = [...this.#byType].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return types.flatMap(([, versions]) => [...versions.values()].toSorted((a, b) => a.version - b.version))
  }

  #add(entry: RegisteredSchema): void {
    const versions = this.#byType.get(entry.type) ?? new Map<number, RegisteredSchema>()
    const known = versions.get(entry.version)
    if (known?.schema !== undefined) {
      if (entry.schema === undefined || sameSchema(known.schema, entry.schema)) return
      throw new SchemaConflictError(entry.type, entry.version)
    }
    // A copy: what is registered never changes, whatever becomes of the object that was given.
    versions.set(entry.version, structuredClone(entry))
    this.#byType.set(entry.type, versions)
  }
}
