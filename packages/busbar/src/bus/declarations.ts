import { ConfigurationError } from '../message/errors.ts'
import type { Selector } from './handler.ts'
import type { SubscribeOptions } from './options.ts'

/** Settings of all event methods of one handler object, which share one subscription and so one place in line. */
export interface HandlerOptions extends SubscribeOptions {
  /**
   * Stable name of the handler: its default group is `<source>.<name>`. Needed where several events are handled and no
   * `group` is given; a class's own name is never used for it, because minifiers change it and a renamed group would
   * begin anew.
   */
  readonly name?: string
}

/** That a method handles something. Recorded by the decorators, read when an instance is registered. */
export interface HandlerDeclaration {
  readonly kind: 'event' | 'command' | 'query'
  /** Undefined: what the class says that it handles. */
  readonly selectors: readonly Selector[] | undefined
  /** What the compiler told of the method's parameter; taken where the class says nothing. */
  readonly inferred?: readonly Selector[] | undefined
  /** Undefined: the whole class; its method is `handle`, or the one that is declared without selectors. */
  readonly method: PropertyKey | undefined
  /** Given for a method: it is a subscription of its own. */
  readonly options?: SubscribeOptions | undefined
}

/** Everything that one instance declares, its base classes included. */
export interface Declarations {
  readonly handlers: readonly HandlerDeclaration[]
  readonly options: HandlerOptions
}

interface ClassRecord {
  readonly handlers: HandlerDeclaration[]
  options: HandlerOptions | undefined
}

/** By class, or by a class's decorator metadata object. Held weakly: there is no list of all handlers anywhere. */
const records = new WeakMap<object, ClassRecord>()

/** @param owner A class, or the metadata object that a TC39 decorator was given. */
export function declareHandler(owner: object, declaration: HandlerDeclaration): void {
  recordOf(owner).handlers.push(declaration)
}

/** Merged into what was declared before: of two decorators the upper one is told last, and wins. */
export function declareOptions(owner: object, options: HandlerOptions): void {
  const record = recordOf(owner)
  record.options = { ...record.options, ...options }
}

/**
 * What the classes of `instance` declare. What a class says of a method replaces what its base classes say of it; an
 * override that says nothing handles what the overridden method did.
 */
export function declarationsOf(instance: object): Declarations {
  const decided = new Set<PropertyKey | undefined>()
  const handlers: HandlerDeclaration[] = []
  let options: HandlerOptions = {}
  for (const records of recordsOf(instance)) {
    const own = records.flatMap((record) => record.handlers).filter(({ method }) => !decided.has(method))
    for (const { method } of own) decided.add(method)
    handlers.push(...own)
    for (const record of records) options = { ...record.options, ...options }
  }
  return { handlers: attached(instance, [...handlers, ...declaredByFields(instance, handlers)]), options }
}

/** The records of each class, from the instance's own upwards. */
function* recordsOf(instance: object): Generator<readonly ClassRecord[]> {
  for (let at = prototypeOf(instance); at !== null; at = prototypeOf(at)) {
    const made: unknown = Object.hasOwn(at, 'constructor') ? at.constructor : undefined
    if (typeof made !== 'function') continue
    const metadata: unknown = Object.hasOwn(made, metadataKey()) ? Reflect.get(made, metadataKey()) : undefined
    const owners = typeof metadata === 'object' && metadata !== null ? [made, metadata] : [made]
    yield owners.map((owner) => records.get(owner)).filter((record) => record !== undefined)
  }
}

/** `BaseEventHandler` and its like say what they handle in a field. */
function declaredByFields(instance: object, known: readonly HandlerDeclaration[]): readonly HandlerDeclaration[] {
  const { eventType, eventTypes = [] } = instance as { eventType?: Selector; eventTypes?: readonly Selector[] }
  const ofClass = new Set(known.filter(({ method }) => method === undefined).flatMap(({ selectors = [] }) => selectors))
  // Said above the class as well, it is still meant once.
  const said = new Set(eventType === undefined ? eventTypes : [eventType, ...eventTypes])
  const selectors = [...said].filter((selector) => !ofClass.has(selector))
  return selectors.length === 0 ? [] : [{ kind: 'event', selectors, method: undefined }]
}

/** Gives what is said of the whole class to its method, and to a method without an event that of its class. */
function attached(instance: object, handlers: readonly HandlerDeclaration[]): readonly HandlerDeclaration[] {
  const methods = handlers.filter(({ method }) => method !== undefined)
  const ofClass = handlers.filter(({ method }) => method === undefined)
  const takers = methods.filter(({ selectors }) => selectors === undefined)
  const named = methods.filter(({ selectors }) => selectors !== undefined)
  if (ofClass.every(({ kind }) => kind !== 'event')) {
    return [...ofClass.map(onHandle), ...takers.map((taker) => inferred(instance, taker)), ...named]
  }
  if (takers.length > 1) {
    const names = takers.map(({ method }) => String(method)).join(' and ')
    throw new ConfigurationError(
      `${className(instance)} has two methods for the event of its class, ${names}: name the event of each, @HandleEvent(OrderPlaced)`,
    )
  }
  const taken = ofClass.map((each) => {
    const [taker] = takers
    return each.kind === 'event' && taker !== undefined ? { ...taker, selectors: each.selectors } : onHandle(each)
  })
  return [...taken, ...named]
}

function onHandle(declaration: HandlerDeclaration): HandlerDeclaration {
  return { ...declaration, method: 'handle' }
}

function inferred(instance: object, taker: HandlerDeclaration): HandlerDeclaration {
  if (taker.inferred !== undefined) return { ...taker, selectors: taker.inferred }
  throw new ConfigurationError(
    `@HandleEvent() of ${className(instance)}.${String(taker.method)} does not say which event: name it, ` +
      `@HandleEvent(OrderPlaced), or write @EventHandler(OrderPlaced) above the class`,
  )
}

function recordOf(owner: object): ClassRecord {
  const known = records.get(owner)
  if (known !== undefined) return known
  const record: ClassRecord = { handlers: [], options: undefined }
  records.set(owner, record)
  return record
}

function prototypeOf(object: object): object | null {
  return Object.getPrototypeOf(object) as object | null
}

/** Where a class keeps the metadata object of its TC39 decorators. Not every runtime has the symbol. */
function metadataKey(): symbol {
  return (Symbol as { readonly metadata?: symbol }).metadata ?? Symbol.for('Symbol.metadata')
}

/** For people only. */
export function className(instance: object): string {
  const made: unknown = instance.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : "an object without a class's name"
}
