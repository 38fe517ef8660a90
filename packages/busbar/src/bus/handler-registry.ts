import { definitionOf } from '../message/contract.ts'
import { ConfigurationError } from '../message/errors.ts'
import { className, declarationsOf, type HandlerDeclaration, type HandlerOptions } from './declarations.ts'
import type { HandlerContext, HandlerEntry, Selector } from './handler.ts'
import type { SubscribeOptions } from './options.ts'
import type { Subscription } from './subscription.ts'
import type { Message } from '../message/message.ts'

/** One method of a registered instance. */
export interface RegisteredHandler {
  readonly kind: 'event' | 'command' | 'query'
  /** `<name of the handler>.<method>`, as in dead letters, logs and metrics. */
  readonly handler: string
  /** Types and patterns that go to it. */
  readonly types: readonly string[]
  readonly group: string
}

/** An instance that is attached to a bus. */
export interface Registration {
  readonly instance: object
  readonly handlers: readonly RegisteredHandler[]
  readonly subscriptions: readonly Subscription[]
  /** Takes all its methods off the bus, as `Subscription.unsubscribe` does. The instance may be registered again afterwards. */
  unregister(options?: { readonly deadline?: number }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What a registry needs of its bus. */
export interface HandlerHost {
  readonly source: string
  subscribe(handlers: readonly HandlerEntry[], options?: SubscribeOptions): Promise<Subscription>
}

/** One subscription to be made. */
interface Plan {
  readonly declarations: readonly HandlerDeclaration[]
  readonly options: SubscribeOptions
}

/**
 * The handler objects of one bus (`bus.handlers`): those with decorated methods and those that extend `BaseEventHandler`.
 * There is none for the whole process, so two buses, or two tests, never see each other's.
 */
export class EventHandlerRegistry {
  private readonly bus: HandlerHost
  /** Undefined while its subscriptions are being made. */
  private readonly instances = new Map<object, Registration | undefined>()
  /** Groups named after a handler. A second instance would silently compete with the first. */
  private readonly named = new Map<string, object>()

  constructor(bus: HandlerHost) {
    this.bus = bus
  }

  /**
   * Attaches the methods that `instance` declares, all or none. Its event methods share one subscription, and so one
   * group and one place in line: order by key holds across them. A method with options of its own is a subscription of its
   * own; so is every command and query. Resolves once all are really subscribed.
   *
   * @param options Win over those of the class. `group` default: `<source>.<name>`; without a name, and with one event only,
   *   what `bus.subscribe` would take.
   * @throws ConfigurationError if it declares nothing, is registered already, or needs a name.
   */
  async register(instance: object, options: HandlerOptions = {}): Promise<Registration> {
    if (typeof instance === 'function') {
      throw new ConfigurationError(`register takes an instance: register(new ${instance.name}())`)
    }
    if (this.instances.has(instance)) {
      throw new ConfigurationError(
        `this ${className(instance)} is registered on this bus already, and would handle everything twice: unregister it first`,
      )
    }
    const declared = declarationsOf(instance)
    const settings = { ...declared.options, ...options }
    const plans = this.plansFor(instance, declared.handlers, settings)
    const groups = plans
      .map((plan) => plan.options.group)
      .filter((group) => group !== undefined && group !== options.group)
    this.claim(instance, groups as readonly string[])
    this.instances.set(instance, undefined)
    try {
      const registration = await this.attach(instance, plans, settings.name ?? className(instance))
      this.instances.set(instance, registration)
      return registration
    } catch (error) {
      this.forget(instance)
      throw error
    }
  }

  isRegistered(instance: object): boolean {
    return this.instances.has(instance)
  }

  /** In the order in which they were registered. */
  registrations(): readonly Registration[] {
    return [...this.instances.values()].filter((registration) => registration !== undefined)
  }

  /** Types and patterns that the registered instances handle. `bus.getRegisteredEventTypes()` knows the other handlers too. */
  getRegisteredEventTypes(): readonly string[] {
    const handlers = this.registrations().flatMap((registration) => registration.handlers)
    return [...new Set(handlers.flatMap((handler) => handler.types))].toSorted()
  }

  private plansFor(instance: object, handlers: readonly HandlerDeclaration[], settings: HandlerOptions): Plan[] {
    if (handlers.length === 0) {
      throw new ConfigurationError(
        `${className(instance)} declares no handler: decorate its methods (@HandleEvent, @Subscribe, @CommandHandler, ` +
          `@QueryHandler) or the class (@EventHandler), or extend BaseEventHandler`,
      )
    }
    for (const { method } of handlers) {
      if (typeof Reflect.get(instance, method as PropertyKey) === 'function') continue
      throw new ConfigurationError(`${className(instance)} has no method ${String(method)} for what it is to handle`)
    }
    const { name, group = name === undefined ? undefined : `${this.bus.source}.${name}`, ...rest } = settings
    const events = handlers.filter(({ kind }) => kind === 'event')
    const shared = events.filter(({ options }) => options === undefined)
    const plans = events
      .filter(({ options }) => options !== undefined)
      .map((each) => ({ declarations: [each], options: ownOptions(each, this.bus.source, name) }))
    if (shared.length > 0) {
      const grouped = rest.broadcast === true || group === undefined ? rest : { ...rest, group }
      refuseNameless(instance, shared, grouped)
      plans.unshift({ declarations: shared, options: grouped })
    }
    const { broadcast: _broadcast, topic: _topic, from: _from, ...others } = rest
    return [
      ...plans,
      ...handlers
        .filter(({ kind }) => kind !== 'event')
        .map((each) => ({ declarations: [each], options: { ...others, ...each.options } })),
    ]
  }

  private async attach(instance: object, plans: readonly Plan[], name: string): Promise<Registration> {
    const handlers: RegisteredHandler[] = []
    const subscriptions: Subscription[] = []
    try {
      for (const { declarations, options } of plans) {
        const entries = declarations.map((each) =>
          entryOf(instance, each, options.name ?? `${name}.${String(each.method)}`),
        )
        const subscription = await this.bus.subscribe(entries, options)
        subscriptions.push(subscription)
        for (const [i, { kind, selectors = [] }] of declarations.entries()) {
          const handler = (entries[i] as Entry).handler.name
          handlers.push({ kind, handler, types: selectors.map(typeOf), group: subscription.group })
        }
      }
    } catch (error) {
      await Promise.allSettled(subscriptions.map((subscription) => subscription.unsubscribe()))
      throw error
    }
    const unregister: Registration['unregister'] = async (options) => {
      await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe(options)))
      // It may have been registered anew since.
      if (this.instances.get(instance) === registration) this.forget(instance)
    }
    const registration: Registration = {
      instance,
      handlers,
      subscriptions,
      unregister,
      [Symbol.asyncDispose]: () => unregister(),
    }
    return registration
  }

  private claim(instance: object, groups: readonly string[]): void {
    const taken = groups.find((group) => this.named.has(group))
    if (taken !== undefined) {
      throw new ConfigurationError(
        `group '${taken}' belongs to another registered ${className(this.named.get(taken) as object)}, and the two would ` +
          `share its messages: give this one another name, register(instance, { name: '…' }), or, if they are to ` +
          `compete, say so: register(instance, { group: '${taken}' })`,
      )
    }
    for (const group of groups) this.named.set(group, instance)
  }

  private forget(instance: object): void {
    this.instances.delete(instance)
    for (const [group, owner] of this.named) if (owner === instance) this.named.delete(group)
  }
}

/** Of a method that is a subscription of its own. */
function ownOptions(
  { method, options = {} }: HandlerDeclaration,
  source: string,
  name: string | undefined,
): SubscribeOptions {
  if (name === undefined || options.group !== undefined || options.broadcast === true) return options
  return { ...options, group: `${source}.${name}.${String(method)}` }
}

function refuseNameless(instance: object, shared: readonly HandlerDeclaration[], options: SubscribeOptions): void {
  const count = new Set(shared.flatMap(({ selectors }) => selectors)).size
  if (count < 2 || options.group !== undefined || options.broadcast === true) return
  throw new ConfigurationError(
    `${className(instance)} handles ${count} events and has no name that stays the same when classes are renamed or minified: ` +
      `give it one, @EventHandler({ name: 'billing' }) above the class or register(instance, { name: 'billing' })`,
  )
}

interface Entry extends HandlerEntry {
  readonly handler: (message: Message, context: HandlerContext) => unknown
}

/** Looks the method up at each call, so that an override, or a spy that a test put there, is what is called. */
function entryOf(instance: object, { method, selectors }: HandlerDeclaration, name: string): Entry {
  const target = instance as Record<PropertyKey, (message: Message, context: HandlerContext) => unknown>
  const handler: Entry['handler'] = (message, context) => target[method as PropertyKey]?.(message, context)
  Object.defineProperty(handler, 'name', { value: name })
  return { selector: selectors ?? [], handler }
}

function typeOf(selector: Selector): string {
  return typeof selector === 'string' ? selector : definitionOf(selector).type
}
