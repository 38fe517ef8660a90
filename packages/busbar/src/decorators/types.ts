import type { HandlerContext, SubscribeOptions } from '../bus/index.ts'
import type { CommandContract, EventContract, QueryContract } from '../message/contract.ts'
import type { DomainEventClass } from '../message/domain-event.ts'

/** What `@EventHandler`, `@HandleEvent` and `@Subscribe` may name: an event's contract, an event class, a type's name or a pattern. */
export type EventSelector = EventContract | DomainEventClass | string

/** Any command, any query. */
export type AnyCommand = CommandContract
export type AnyQuery = QueryContract

/** What can be said of the subscription to a command or query. */
export type RequestHandlerOptions = Omit<SubscribeOptions, 'group' | 'broadcast' | 'topic'>

/** A method that takes `M` and gives `R`. A function type, so that a narrower parameter is an error. */
export type HandlingMethod<M, R = unknown> = (message: M, context: HandlerContext) => R | Promise<R>

/** Decorates a method that takes `M`, in both dialects. */
export interface HandlerMethodDecorator<M, R = unknown> {
  /** TC39. */
  <This, Method extends HandlingMethod<M, R>>(method: Method, context: ClassMethodDecoratorContext<This, Method>): void
  /** TypeScript's `experimentalDecorators`. */
  <Method extends HandlingMethod<M, R>>(
    prototype: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void
}

/** Decorates a class whose instances have the shape `I`, in both dialects. */
export interface HandlerClassDecorator<I> {
  /** TC39. */
  <Class extends abstract new (...args: never[]) => I>(target: Class, context: ClassDecoratorContext<Class>): void
  /** TypeScript's `experimentalDecorators`. */
  (target: abstract new (...args: never[]) => I): void
}

/** A class that has `handle`, or a method that is decorated with `@HandleEvent()`. */
export type EventHandling<M> = object & { readonly handle?: HandlingMethod<M> }

/** A class that has `handle`. */
export interface RequestHandling<M, R> {
  readonly handle: HandlingMethod<M, R>
}
