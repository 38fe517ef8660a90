import { type Capabilities, type SubscriptionSpec, UnsupportedError } from '../broker/index.ts'
import type { ContractRegistry } from '../message/contracts.ts'
import { matchesPattern } from '../message/contracts.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Message, MessageKind } from '../message/message.ts'
import type { Handle, Route } from './routes.ts'
import type { Handler, HandlerContext, HandlerEntry, MessageFor, ResultFor, Selector } from './handler.ts'
import type { BusOptions, SubscribeOptions } from './options.ts'

/** What a subscribe call comes to, before there is a group for it. */
export interface Selection {
  readonly routes: readonly Route[]
  readonly topics: readonly string[]
  /** The one type of a command or query: its handlers, in whatever process, are one group. */
  readonly single: { readonly kind: 'command' | 'query'; readonly type: string } | undefined
}

/** Several handlers that share one group: `bus.subscribe([on(OrderPlaced, …), on(OrderPaid, …)], { group: 'billing' })`. */
export function on<const S extends Selector | readonly Selector[]>(
  selector: S,
  handler: Handler<MessageFor<S>, ResultFor<S>>,
): HandlerEntry {
  return { selector, handler }
}

export function isEntries(value: unknown): value is readonly HandlerEntry[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((each) => typeof each === 'object' && each !== null && 'handler' in each)
  )
}

/** Resolves selectors to patterns, topics and handlers. Contracts among them are learned by the registry. */
export function select(
  entries: readonly HandlerEntry[],
  options: SubscribeOptions,
  registry: ContractRegistry,
  topics: Readonly<Record<MessageKind, string>>,
): Selection {
  const routes: Route[] = []
  const read = new Set<string>(typeof options.topic === 'string' ? [options.topic] : options.topic)
  let single: Selection['single']
  for (const { selector, handler } of entries) {
    const selectors = (Array.isArray(selector) ? selector : [selector]) as readonly Selector[]
    for (const each of selectors) {
      const { pattern, kind, topicsOf } = resolve(each, registry, topics)
      if (kind === 'command' || kind === 'query') single = { kind, type: pattern }
      if (options.topic === undefined) for (const topic of topicsOf) read.add(topic)
      routes.push({ pattern, handle: handleOf(handler as Handler), name: options.name ?? nameOf(handler, pattern) })
    }
  }
  if (routes.length === 0)
    throw new ConfigurationError('subscribe was given nothing to subscribe to: name a contract, type or pattern')
  if (single !== undefined && routes.length > 1) {
    throw new ConfigurationError(
      `${single.kind} '${single.type}' has exactly one handler: subscribe it alone, not together with other types`,
    )
  }
  return { routes, topics: [...read], single }
}

function resolve(selector: Selector, registry: ContractRegistry, topics: Readonly<Record<MessageKind, string>>) {
  if (typeof selector === 'string') {
    matchesPattern(selector, '') // throws for what is no pattern
    const known = registry.matching(selector)
    const exact = known.length === 1 && known[0]?.type === selector ? known[0] : undefined
    const events = known.filter((definition) => definition.kind === 'event')
    const topicsOf = new Set(events.map((definition) => definition.topic ?? topics.event))
    if (exact === undefined) topicsOf.add(topics.event)
    else topicsOf.add(exact.topic ?? topics[exact.kind])
    return { pattern: selector, kind: exact?.kind ?? 'event', topicsOf }
  }
  const definition = registry.add(selector)
  return {
    pattern: definition.type,
    kind: definition.kind,
    topicsOf: new Set([definition.topic ?? topics[definition.kind]]),
  }
}

function handleOf(handler: Handler): Handle {
  if (typeof handler === 'function') return handler
  if (typeof handler?.handle === 'function') {
    return (message: Message, context: HandlerContext) => handler.handle(message, context)
  }
  throw new ConfigurationError('a handler is a function, or an object with a method handle(message, context)')
}

function nameOf(handler: Handler<never>, pattern: string): string {
  if (typeof handler === 'function') return handler.name === '' ? pattern : handler.name
  const { name } = handler.constructor
  return name === '' || name === 'Object' ? pattern : name
}

/** The settings of a subscription with their defaults, refused where they make no sense or the broker cannot keep them. */
export function settle(
  group: string,
  selection: Selection,
  options: SubscribeOptions,
  defaults: BusOptions,
  broker: { readonly name: string; readonly capabilities: Capabilities },
): { readonly spec: SubscriptionSpec; readonly concurrency: number; readonly ageing: number } {
  const { capabilities } = broker
  const broadcast = options.broadcast ?? false
  const prefetchGiven = options.prefetch ?? defaults.prefetch
  const concurrencyGiven = options.concurrency ?? defaults.concurrency
  const concurrency = concurrencyGiven ?? Math.min(10, prefetchGiven ?? 10)
  const prefetch = prefetchGiven ?? concurrency * 10
  const ageing = options.ageing ?? 1_000
  const onFailure = options.onFailure ?? 'continue'
  // A command that waits in the broker is to be carried out, also if its handler is new.
  const from = options.from ?? (selection.single?.kind === 'command' && capabilities.replay ? 'earliest' : 'latest')
  for (const [name, value] of Object.entries({ concurrency: concurrencyGiven, prefetch: prefetchGiven })) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw new ConfigurationError(`'${name}' must be a whole number from 1, not ${value}`)
  }
  if (onFailure === 'park' && defaults.deadLetters !== undefined) {
    throw new ConfigurationError(
      `onFailure: 'park' needs the broker's own dead letters, which say when those behind may go on; this bus has a store of its own`,
    )
  }
  if (!(ageing > 0)) throw new ConfigurationError(`'ageing' must be more than 0 milliseconds, not ${ageing}`)
  if (prefetch < concurrency) {
    throw new ConfigurationError(
      `'prefetch' (${prefetch}) must be at least 'concurrency' (${concurrency}), or handlers would idle`,
    )
  }
  const asked: readonly (readonly [boolean, boolean, string])[] = [
    [broadcast, capabilities.broadcast, `'broadcast'`],
    [!broadcast, capabilities.groups, `groups: subscribe with { broadcast: true }`],
    [from === 'earliest', capabilities.replay, `from: 'earliest'`],
    [onFailure === 'park', capabilities.park, `onFailure: 'park'`],
  ]
  for (const [wanted, able, what] of asked) {
    if (wanted && !able) throw new UnsupportedError(`broker '${broker.name}' does not support ${what}`)
  }
  const spec = { group, topics: selection.topics, broadcast, prefetch, from, onFailure }
  return { spec, concurrency, ageing }
}
