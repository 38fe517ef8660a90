import type { Failure } from '../broker/index.ts'
import type { Handler, HandlerContext, MessageFor, Selector } from '../bus/index.ts'
import { definitionOf } from '../message/contract.ts'
import { matchesPattern } from '../message/contracts.ts'
import type { EncodedMessage, Message } from '../message/message.ts'

/** A message that was put aside while the test ran. */
export interface DeadLettered<M = Message> {
  readonly group: string
  readonly topic: string
  readonly type: string
  /** As the handler got it; undefined where it could not be read or was invalid, so that no handler got it. */
  readonly message: M | undefined
  readonly raw: EncodedMessage
  readonly failure: Failure
}

type Selectors = Selector | readonly Selector[]
type Handle = (message: Message, context: HandlerContext) => unknown

/** What a test bus has seen so far, in order. */
export class Spies {
  private sent: Message[] = []
  private done: { readonly group: string; readonly message: Message }[] = []
  private aside: DeadLettered[] = []
  /** What handlers were given and have not finished, by group and message id. */
  private readonly given = new Map<string, Message>()

  published<S extends Selectors>(selector?: S): readonly MessageFor<S>[] {
    return this.sent.filter((message) => selects(selector, message.type)) as unknown as readonly MessageFor<S>[]
  }

  handled<S extends Selectors>(selector?: S, group?: string): readonly MessageFor<S>[] {
    const matching = this.done.filter((each) => selects(selector, each.message.type))
    const messages = matching.filter((each) => group === undefined || each.group === group).map((each) => each.message)
    return messages as unknown as readonly MessageFor<S>[]
  }

  deadLettered<S extends Selectors>(selector?: S): readonly DeadLettered<MessageFor<S>>[] {
    const matching = this.aside.filter((each) => selects(selector, each.type))
    return matching as unknown as readonly DeadLettered<MessageFor<S>>[]
  }

  clear(): void {
    this.sent = []
    this.done = []
    this.aside = []
  }

  noteSent(message: Message): void {
    this.sent.push(message)
  }

  notePutAside(group: string, topic: string, raw: EncodedMessage, failure: Failure): void {
    const name = nameOf(group, raw.id)
    this.aside.push({ group, topic, type: raw.type, message: this.given.get(name), raw, failure })
    this.given.delete(name)
  }

  /** The handler, watched. What it does, and its name, stay as they are. */
  watch(handler: Handler<never>): Handler<never> {
    const { handle, name } = callable(handler)
    if (handle === undefined) return handler
    const watched: Handle = (message, context) => {
      const id = nameOf(context.group, message.id)
      this.given.set(id, message)
      const end = (result: unknown): unknown => {
        this.given.delete(id)
        this.done.push({ group: context.group, message })
        return result
      }
      // Synchronous where the handler is, so that nothing takes another way than without the spy.
      const result = handle(message, context)
      return isThenable(result) ? result.then(end) : end(result)
    }
    Object.defineProperty(watched, 'name', { value: name })
    return watched
  }
}

/** Undefined for what is no handler: the bus says so. */
function callable(handler: Handler<never> | undefined): { readonly handle: Handle | undefined; readonly name: string } {
  if (typeof handler === 'function') return { handle: handler as Handle, name: handler.name }
  if (typeof handler?.handle !== 'function') return { handle: undefined, name: '' }
  const { name } = handler.constructor
  return {
    handle: (message, context) => (handler as { handle: Handle }).handle(message, context),
    name: name === 'Object' ? '' : name,
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function selects(selector: Selectors | undefined, type: string): boolean {
  if (selector === undefined) return true
  const selectors = (Array.isArray(selector) ? selector : [selector]) as readonly Selector[]
  return selectors.some((each) => matchesPattern(typeof each === 'string' ? each : definitionOf(each).type, type))
}

function nameOf(group: string, messageId: string): string {
  return `${group}\n${messageId}`
}
