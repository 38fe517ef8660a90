import type { Delivery } from '../broker/index.ts'
import type { Message } from '../message/message.ts'
import type { Logger } from './logger.ts'
import type { Incoming } from './middleware.ts'
import type { PublishOptions } from './handler.ts'

/** What handlers publish through; the bus. */
export interface Publishing {
  publish(message: Message | readonly Message[], options?: PublishOptions): Promise<void>
  send(command: Message, options?: PublishOptions): Promise<void>
  readonly logger: Logger
}

/** What became of a message that went through middleware: handled, wanted by no handler, or dropped on the way. */
export const HANDLED = Symbol('handled')
export const SKIPPED = Symbol('skipped')
export const FILTERED = Symbol('filtered')
export type Outcome = typeof HANDLED | typeof SKIPPED | typeof FILTERED

/** What all views of one run share (middleware may see it through another message). */
interface RunState {
  /** The message as it was opened. */
  readonly original: Message
  outcome: Outcome
  controller: AbortController | undefined
  reason: Error | undefined
}

/** One run of a handler: the context that it and consume middleware are given. */
export class Run implements Incoming {
  readonly message: Message
  readonly attempt: number
  readonly group: string
  readonly handler: string
  private readonly delivery: Delivery
  private readonly bus: Publishing
  /** Made only for those who ask. The first to ask sees the run itself, not a view of it: middleware begins with its outcome. */
  private box: RunState | undefined

  constructor(message: Message, attempt: number, group: string, handler: string, delivery: Delivery, bus: Publishing) {
    this.message = message
    this.attempt = attempt
    this.group = group
    this.handler = handler
    this.delivery = delivery
    this.bus = bus
  }

  get state(): RunState {
    this.box ??= { original: this.message, outcome: FILTERED, controller: undefined, reason: undefined }
    return this.box
  }

  get redeliveries(): number {
    return this.delivery.redeliveries
  }

  get topic(): string {
    return this.delivery.topic
  }

  /** Made only for those who ask: most handlers never do, and a controller for every message costs. */
  get signal(): AbortSignal {
    const { state, delivery } = this
    if (state.controller === undefined) {
      const controller = (state.controller = new AbortController())
      if (state.reason !== undefined) controller.abort(state.reason)
      else if (delivery.signal.aborted) controller.abort(delivery.signal.reason)
      else delivery.signal.addEventListener('abort', () => controller.abort(delivery.signal.reason), { once: true })
    }
    return state.controller.signal
  }

  abort(reason: Error): void {
    this.state.reason = reason
    this.state.controller?.abort(reason)
  }

  get logger(): Logger {
    return this.bus.logger
  }

  /** Bound, because handlers take their context apart: `(event, { publish }) => …`. */
  get publish(): Publishing['publish'] {
    const { bus } = this
    return (message, options) => bus.publish(message, options)
  }

  get send(): Publishing['send'] {
    const { bus } = this
    return (command, options) => bus.send(command, options)
  }
}
