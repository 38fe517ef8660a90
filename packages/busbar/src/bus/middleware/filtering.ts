import type { Message } from '../../message/message.ts'
import type { Incoming, Middleware } from '../middleware.ts'

export interface FilteringOptions {
  /** True: the message is sent. False: it is dropped before sending, and `publish` resolves. */
  readonly publish?: (message: Message) => boolean | Promise<boolean>
  /** True: the handler gets the message. False: it is acked without a run and counted as `filtered`. */
  readonly consume?: (message: Message, incoming: Incoming) => boolean | Promise<boolean>
}

/** Lets through what the predicates say true to. A predicate that throws fails the publish or the run: nothing is lost by it. */
export function filtering({ publish, consume }: FilteringOptions): Middleware {
  return {
    name: 'filtering',
    ...(publish !== undefined && {
      publish: async (message, next) => {
        if (await publish(message)) await next(message)
      },
    }),
    ...(consume !== undefined && {
      consume: async (incoming, next) =>
        (await consume(incoming.message, incoming)) ? next(incoming.message) : undefined,
    }),
  }
}
