import { declareHandler } from '../bus/declarations.ts'
import type { ResultFor, MessageFor } from '../bus/index.ts'
import { decorated } from './dialect.ts'
import { checkedSelectors } from './selectors.ts'
import type {
  AnyCommand,
  AnyQuery,
  HandlerClassDecorator,
  HandlerMethodDecorator,
  RequestHandling,
  RequestHandlerOptions,
} from './types.ts'

/**
 * Says that a class (its method `handle`) or a method is the one handler of a command. `bus.register(instance)` attaches
 * it, and refuses a second one.
 *
 * @throws ConfigurationError for what is no command.
 */
export function CommandHandler<C extends AnyCommand>(
  command: C,
  options?: RequestHandlerOptions,
): HandlerClassDecorator<RequestHandling<MessageFor<C>, unknown>> & HandlerMethodDecorator<MessageFor<C>> {
  return declaring('CommandHandler', 'command', command, options)
}

/**
 * The same for a query: what the method returns is the answer.
 *
 * @throws ConfigurationError for what is no query.
 */
export function QueryHandler<Q extends AnyQuery>(
  query: Q,
  options?: RequestHandlerOptions,
): HandlerClassDecorator<RequestHandling<MessageFor<Q>, ResultFor<Q>>> &
  HandlerMethodDecorator<MessageFor<Q>, ResultFor<Q>> {
  return declaring('QueryHandler', 'query', query, options)
}

function declaring(
  decorator: string,
  kind: 'command' | 'query',
  contract: AnyCommand | AnyQuery,
  options: RequestHandlerOptions | undefined,
): (...args: readonly unknown[]) => void {
  const selectors = checkedSelectors(decorator, kind, contract)
  return (...args) => {
    const { owner, method } = decorated(decorator, args)
    declareHandler(owner, { kind, selectors, method, options })
  }
}
