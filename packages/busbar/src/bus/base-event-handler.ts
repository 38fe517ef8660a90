import type { HandlerContext, MessageFor, Selector } from './handler.ts'

/**
 * An event handler as a class, without decorators: `bus.register(new SendReceipt())` attaches it.
 *
 * @example
 * class SendReceipt extends BaseEventHandler<typeof OrderPaid> {
 *   override readonly eventType = OrderPaid
 *   async handle(event: MessageOf<typeof OrderPaid>): Promise<void> { … }
 * }
 */
export abstract class BaseEventHandler<S extends Selector = Selector> {
  /** What it handles; or `eventTypes`, for several. Both are read when it is registered, and never before. */
  declare readonly eventType?: S
  declare readonly eventTypes?: readonly S[]

  /** What it throws counts as its failure. */
  abstract handle(message: MessageFor<S>, context: HandlerContext): unknown
}
