/** Decorators that say what a class handles. They work as TC39 and as legacy TypeScript decorators. */
export { BaseEventHandler, EventHandlerRegistry } from '../bus/index.ts'
export type { HandlerOptions, RegisteredHandler, Registration } from '../bus/index.ts'
export { EventHandler, HandleEvent, Subscribe } from './events.ts'
export { register } from './register.ts'
export { CommandHandler, QueryHandler } from './requests.ts'
export type {
  AnyCommand,
  AnyQuery,
  EventHandling,
  EventSelector,
  HandlerClassDecorator,
  HandlerMethodDecorator,
  HandlingMethod,
  RequestHandlerOptions,
  RequestHandling,
} from './types.ts'
