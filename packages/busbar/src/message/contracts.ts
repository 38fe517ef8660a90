import { definitionOf } from './contract.ts'
import type { ContractLike } from './contract.ts'
import type { Definition } from './definition.ts'
import { ConfigurationError } from './errors.ts'

/** The contracts that one bus knows, by type. There is no process-wide one. */
export class ContractRegistry {
  readonly #byType = new Map<string, Definition>()
  /** The last one, which is most often the next one. */
  #last: Definition | undefined

  /**
   * Learns a contract. The same one again changes nothing.
   * @throws ConfigurationError when another contract has the same type.
   */
  add(like: ContractLike): Definition {
    const definition = definitionOf(like)
    this.learn(definition)
    return definition
  }

  /** The same for a definition that is at hand, for example `definitionOfMessage(message)`. */
  learn(definition: Definition): void {
    if (definition === this.#last) return
    const known = this.#byType.get(definition.type)
    if (known === definition) {
      this.#last = definition
      return
    }
    if (known !== undefined) {
      throw new ConfigurationError(
        `Two contracts are called ${definition.type} (a ${known.kind} of version ${known.version} and a ${definition.kind} of version ${definition.version}): ` +
          'declare it once and import it; older versions are handled by its upcasters',
      )
    }
    this.#byType.set(definition.type, definition)
  }

  get(type: string): Definition | undefined {
    return this.#byType.get(type)
  }

  /** In the order in which they were learned. */
  all(): readonly Definition[] {
    return [...this.#byType.values()]
  }

  /** Those whose type the pattern matches. See `matchesPattern`. */
  matching(pattern: string): readonly Definition[] {
    return this.all().filter((definition) => matchesPattern(pattern, definition.type))
  }
}

/**
 * `*` matches every type; `order.*` those with one or more segments below `order.`; anything else itself alone.
 * @throws ConfigurationError for a pattern with a star anywhere else, or an empty one.
 */
export function matchesPattern(pattern: string, type: string): boolean {
  if (pattern === '*') return true
  const star = pattern.indexOf('*')
  if (star === -1 && pattern !== '') return pattern === type
  if (star !== pattern.length - 1 || pattern[star - 1] !== '.' || star < 2) {
    throw new ConfigurationError(
      `${JSON.stringify(pattern)} is not a pattern: write a type's name, "order.*" for all below "order.", or "*" for all`,
    )
  }
  const prefix = pattern.slice(0, -1)
  return type.length > prefix.length && type.startsWith(prefix)
}
