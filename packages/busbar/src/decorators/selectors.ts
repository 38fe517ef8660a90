import type { Selector } from '../bus/index.ts'
import { ConfigurationError } from '../message/errors.ts'

/**
 * What a decorator was given, as a list.
 *
 * Event classes are not looked into: they may not be complete yet while classes are being defined.
 *
 * @throws ConfigurationError for what is no selector, or one of another kind.
 */
export function checkedSelectors(
  decorator: string,
  kind: 'event' | 'command' | 'query',
  given: Selector | readonly Selector[] | undefined,
): readonly Selector[] {
  const selectors = (Array.isArray(given) ? given : [given]) as readonly (Selector | undefined)[]
  if (selectors.length === 0)
    throw new ConfigurationError(`@${decorator} was given an empty list: name what it handles`)
  return selectors.map((selector) => checked(decorator, kind, selector))
}

function checked(decorator: string, kind: string, selector: Selector | undefined): Selector {
  if (selector === undefined) {
    throw new ConfigurationError(
      `@${decorator} was given undefined: do the two modules import each other? Then move the contract to a third`,
    )
  }
  if (typeof selector === 'string' || typeof selector === 'function' || selector.kind === kind) return selector
  throw new ConfigurationError(
    `@${decorator} was given the ${selector.kind} ${selector.type}: use @EventHandler for events, @CommandHandler for ` +
      `commands and @QueryHandler for queries`,
  )
}
