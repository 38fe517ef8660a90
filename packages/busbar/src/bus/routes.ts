import { matchesPattern } from '../message/contracts.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import type { HandlerContext } from './handler.ts'

/** A handler, whatever form it was given in. */
export type Handle = (message: Message, context: HandlerContext) => unknown

/** Which handler of a subscription a type goes to. */
export interface Route {
  /** A type's name or a pattern. */
  readonly pattern: string
  readonly handle: Handle
  /** Name for dead letters, logs and metrics. */
  readonly name: string
}

/** The routes of one group: an exact type before a pattern, a longer pattern before a shorter. */
export class Routes {
  private readonly routes: Route[] = []
  private cache = new Map<string, Route | undefined>()

  /** @throws ConfigurationError if the same pattern has a handler already. */
  add(route: Route, group: string): void {
    if (this.routes.some((other) => other.pattern === route.pattern)) {
      throw new ConfigurationError(
        `group '${group}' has two handlers for '${route.pattern}', but a message goes to one handler of a group: ` +
          `give the second its own group`,
      )
    }
    this.routes.push(route)
    this.routes.sort((a, b) => rank(b.pattern) - rank(a.pattern))
    this.cache = new Map()
  }

  find(type: string): Route | undefined {
    const known = this.cache.get(type)
    if (known !== undefined) return known
    if (this.cache.has(type)) return undefined
    const route = this.routes.find((each) => matchesPattern(each.pattern, type))
    // Types come from outside: do not let a stream of invented ones grow the cache for ever.
    if (this.cache.size >= 10_000) this.cache.clear()
    this.cache.set(type, route)
    return route
  }
}

function rank(pattern: string): number {
  return pattern.endsWith('*') ? pattern.length : 1_000_000
}
