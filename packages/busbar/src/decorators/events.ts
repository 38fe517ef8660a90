import { declareHandler, declareOptions, type HandlerOptions } from '../bus/declarations.ts'
import type { MessageFor, Selector, SubscribeOptions } from '../bus/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { DomainEvent } from '../message/domain-event.ts'
import { type Decorated, decorated } from './dialect.ts'
import { checkedSelectors } from './selectors.ts'
import type { EventHandling, EventSelector, HandlerClassDecorator, HandlerMethodDecorator } from './types.ts'

/**
 * Says that a class, or a method, handles an event. Nothing else: `bus.register(instance)` attaches it.
 *
 * On a class the method is `handle`, or the one that is decorated with `@HandleEvent()`; the options are those of all
 * event methods of the class. On a method it is the same as `@HandleEvent`.
 *
 * @throws ConfigurationError for what is no event.
 * @example
 * ```ts
 * @EventHandler(OrderPlaced, { name: 'billing' })
 * class Billing {
 *   async handle(event: MessageOf<typeof OrderPlaced>) { … }
 *
 *   @HandleEvent(OrderCancelled)
 *   async refund(event: MessageOf<typeof OrderCancelled>) { … }
 * }
 * ```
 */
export function EventHandler<const S extends EventSelector | readonly EventSelector[]>(
  selector: S,
  options?: HandlerOptions,
): HandlerClassDecorator<EventHandling<MessageFor<S>>> & HandlerMethodDecorator<MessageFor<S>>
/** Only the options of a class whose methods say what they handle. */
export function EventHandler(options: HandlerOptions): HandlerClassDecorator<object>
export function EventHandler(
  first: Selector | readonly Selector[] | HandlerOptions,
  options?: HandlerOptions,
): (...args: readonly unknown[]) => void {
  if (isOptions(first)) return (...args) => declareOptions(classOnly(decorated('EventHandler', args)), first)
  const selectors = checkedSelectors('EventHandler', 'event', first)
  return (...args) => {
    const { owner, method } = decorated('EventHandler', args)
    declareHandler(owner, { kind: 'event', selectors, method, options: method === undefined ? undefined : options })
    if (method === undefined && options !== undefined) declareOptions(owner, options)
  }
}

/**
 * Says that a method handles an event: the one that is named; without a name the class's, `@EventHandler(…)`; else,
 * with `experimentalDecorators`, `emitDecoratorMetadata` and reflect-metadata, the event class of the method's parameter.
 *
 * All event methods of an instance share one group and one place in line, so order by key holds across them. One with
 * options is a subscription of its own, with a group of its own.
 *
 * @throws ConfigurationError for what is no event.
 */
export function HandleEvent(): HandlerMethodDecorator<never>
export function HandleEvent<const S extends EventSelector | readonly EventSelector[]>(
  selector: S,
  options?: SubscribeOptions,
): HandlerMethodDecorator<MessageFor<S>>
export function HandleEvent(
  ...given: readonly [selector?: Selector | readonly Selector[], options?: SubscribeOptions]
): (...args: readonly unknown[]) => void {
  const named = given.length === 0 ? undefined : checkedSelectors('HandleEvent', 'event', given[0])
  return (...args) => {
    const { owner, method, parameter } = methodOnly('HandleEvent', decorated('HandleEvent', args))
    const inferred = isEventClass(parameter) ? [parameter] : undefined
    declareHandler(owner, { kind: 'event', selectors: named, inferred, method, options: given[1] })
  }
}

/**
 * The same by a type's name or a pattern, `order.*`, for events of which there is no contract here.
 *
 * @param options Make it a subscription of its own, with a group of its own.
 */
export function Subscribe<const S extends EventSelector | readonly EventSelector[]>(
  selector: S,
  options?: SubscribeOptions,
): HandlerMethodDecorator<MessageFor<S>> {
  const selectors = checkedSelectors('Subscribe', 'event', selector)
  return (...args: readonly unknown[]) => {
    const { owner, method } = methodOnly('Subscribe', decorated('Subscribe', args))
    declareHandler(owner, { kind: 'event', selectors, method, options })
  }
}

function isOptions(first: Selector | readonly Selector[] | HandlerOptions): first is HandlerOptions {
  return typeof first === 'object' && !Array.isArray(first) && !('kind' in first)
}

/** The parameter of a message contract has no class; of an event class it has. */
function isEventClass(parameter: unknown): parameter is typeof DomainEvent {
  return typeof parameter === 'function' && parameter.prototype instanceof DomainEvent
}

function classOnly({ owner, method }: Decorated): object {
  if (method === undefined) return owner
  throw new ConfigurationError(`@EventHandler of ${String(method)} names no event: @EventHandler(OrderPlaced)`)
}

function methodOnly(decorator: string, target: Decorated): Decorated {
  if (target.method !== undefined) return target
  throw new ConfigurationError(`@${decorator} is for methods; for a class there is @EventHandler(…)`)
}
