import type { Outgoing } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { EncodedMessage, Priority } from '../message/message.ts'

/** Which of the two brokers of a hybrid carries a message. */
export type Route = 'local' | 'remote' | 'both'

/** What a route is decided by: a message without its data, and its topic. */
export type Routed = Omit<EncodedMessage, 'body' | 'contentType'> & Pick<Outgoing, 'topic'>

/**
 * Decides the way of each message. Order by key holds among messages that go the same way, so messages with the same key
 * should: decide by type, topic or key, and not by chance or load.
 */
export interface RoutingStrategy {
  route(message: Routed): Route
}

/** A strategy, or a function that is one. */
export type Routing = RoutingStrategy | RoutingStrategy['route']

/**
 * Explicit lists of message types; `'order.*'` names all types that begin so. A type in both lists goes both ways, and what
 * no list names goes remote: a message that somebody forgot is never kept in one process only.
 *
 * @example
 * new DefaultRoutingStrategy(['CacheInvalidated', 'ui.*'], ['OrderPlaced'])
 */
export class DefaultRoutingStrategy implements RoutingStrategy {
  readonly #local: (type: string) => boolean
  readonly #remote: (type: string) => boolean

  constructor(local: readonly string[] = [], remote: readonly string[] = []) {
    this.#local = namedBy(local)
    this.#remote = namedBy(remote)
  }

  route({ type }: Routed): Route {
    if (!this.#local(type)) return 'remote'
    return this.#remote(type) ? 'both' : 'local'
  }
}

const RANK: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2, critical: 3 }

/**
 * By priority: below `remoteFrom` (default `normal`) a message stays local, from it on it goes remote. A message without a
 * priority counts as `normal`.
 */
export class PriorityRoutingStrategy implements RoutingStrategy {
  readonly #least: number

  constructor({ remoteFrom = 'normal' }: { readonly remoteFrom?: Priority } = {}) {
    if (!Object.hasOwn(RANK, remoteFrom)) {
      throw new ConfigurationError(
        `PriorityRoutingStrategy: remoteFrom is '${String(remoteFrom)}'; give ${Object.keys(RANK).join(', ')}`,
      )
    }
    this.#least = RANK[remoteFrom]
  }

  route({ priority = 'normal' }: Routed): Route {
    return RANK[priority] >= this.#least ? 'remote' : 'local'
  }
}

/** @throws ConfigurationError where it is no strategy. */
export function routeOf(routing: Routing): RoutingStrategy['route'] {
  const given = typeof routing === 'function' ? routing : (message: Routed) => routing.route(message)
  return (message) => {
    const route = given(message)
    if (route === 'local' || route === 'remote' || route === 'both') return route
    throw new ConfigurationError(
      `the routing of '${message.type}' said '${String(route)}'; it must say local, remote or both`,
    )
  }
}

function namedBy(names: readonly string[]): (type: string) => boolean {
  const exact = new Set(names.filter((name) => !name.endsWith('*')))
  const prefixes = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1))
  return (type) => exact.has(type) || prefixes.some((prefix) => type.startsWith(prefix))
}
