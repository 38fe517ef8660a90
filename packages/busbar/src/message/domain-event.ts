/**
 * The class form of an event contract, in two dialects.
 *
 * Declared by the class:
 *
 *     class OrderPlaced extends DomainEvent<{ orderId: string }> {
 *       static readonly type = 'OrderPlaced'
 *     }
 *     new OrderPlaced({ orderId: 'o-1' })
 *
 * Declared by the instance's fields:
 *
 *     class OrderCreatedEvent extends DomainEvent<{ total: number }> {
 *       readonly eventType = 'OrderCreated'
 *       readonly version = 2
 *       readonly topic = 'orders'
 *       readonly priority = 'high'
 *       constructor(aggregateId: string, payload: { total: number }, metadata?: Partial<Metadata>) {
 *         super(payload, metadata, { subject: aggregateId })
 *       }
 *     }
 *
 * The type is always declared, never taken from the class's name, which minifiers change.
 */
import type { CreateOptions } from './create-options.ts'
import { define } from './definition.ts'
import type { Definition, Derive } from './definition.ts'
import { createMetadata, Envelope } from './envelope.ts'
import { ConfigurationError } from './errors.ts'
import type { Message, Metadata, Priority } from './message.ts'
import type { PersonalFields } from './personal.ts'
import type { Schema } from './schema.ts'
import type { JsonSchema } from './schemas/json-schema.ts'
import type { Upcasters } from './upcast.ts'
import { uuidv7 } from './uuid.ts'

/** What a class may declare as statics. All but `type` are optional; they mean what they mean in `event()`. */
export interface DomainEventStatics {
  readonly type?: string
  /** Default 1. */
  readonly version?: number
  readonly topic?: string
  readonly priority?: Priority
  readonly schema?: Schema
  readonly upcast?: Upcasters
  readonly jsonSchema?: JsonSchema
  readonly key?: Derive
  readonly subject?: Derive
  readonly personal?: PersonalFields
  readonly person?: Derive
}

/** A class that extends `DomainEvent`. */
export type DomainEventClass<E extends DomainEvent = DomainEvent> = abstract new (...args: never[]) => E

/**
 * An event as an object of its own class. Subscribers get a real instance too: its prototype is restored and its
 * constructor is not run, so state belongs into `data` and what is derived from it into getters.
 */
export abstract class DomainEvent<D = unknown> implements Message<D> {
  readonly id: string
  readonly kind: 'event'
  readonly source: string
  readonly subject: string | undefined
  readonly key: string | undefined
  readonly time: Date
  readonly revision: number | undefined
  readonly metadata: Metadata
  readonly data: D
  /** Declared name of the event. */
  declare readonly type: string
  /** Another name of `type`. */
  declare readonly eventType: string
  /** Version of the data's schema. Default 1. Not the aggregate's: that is `revision`. */
  declare readonly version: number
  declare readonly topic: string | undefined
  declare readonly priority: Priority | undefined

  /**
   * @param data The payload. Neither checked nor copied here: `publish` does both.
   * @param metadata Explicit headers; what is not given is filled in by the bus.
   * @param options The aggregate (`subject`), its `revision`, and the rest of the attributes.
   */
  constructor(data: D, metadata?: Partial<Metadata>, options?: CreateOptions) {
    // Nothing is read here that a subclass declares as a field: those fields do not exist yet.
    const statics = new.target as DomainEventStatics
    this.id = options?.id ?? uuidv7()
    this.kind = 'event'
    this.source = options?.source ?? ''
    this.subject = options?.subject ?? (probe === undefined ? statics.subject?.(data) : undefined)
    this.key = options?.key ?? (probe === undefined ? statics.key?.(data) : undefined) ?? this.subject
    this.time = options?.time ?? new Date()
    this.revision = options?.revision
    this.metadata = createMetadata(this.id, metadata)
    this.data = data
    if (options?.priority !== undefined) this.priority = options.priority
    if (probe !== undefined) probe.instance = this
  }

  /** The same as `id`. */
  get eventId(): string {
    return this.id
  }

  /** The same as `subject`. */
  get aggregateId(): string | undefined {
    return this.subject
  }

  /** The same as `revision`. */
  get aggregateVersion(): number | undefined {
    return this.revision
  }

  /** The same as `time`. */
  get occurredOn(): Date {
    return this.time
  }

  /** The same as `data`. */
  get payload(): D {
    return this.data
  }
}

/**
 * Fields that either dialect may declare are getters of the prototype: a field of a subclass simply comes before them.
 * Each has a setter, because compilers that assign class fields instead of defining them (TypeScript below ES2022)
 * would otherwise fail on a getter.
 */
declared('type', (event) => fieldOf(event, 'eventType') ?? staticsOf(event).type ?? refuseUndeclared(event.constructor))
declared('eventType', (event) => event.type)
declared('version', (event) => staticsOf(event).version ?? 1)
declared('topic', (event) => Envelope.definitionOf(event)?.topic ?? staticsOf(event).topic)
declared('priority', (event) => staticsOf(event).priority)

function declared<Name extends 'type' | 'eventType' | 'version' | 'topic' | 'priority'>(
  name: Name,
  read: (event: DomainEvent) => DomainEvent[Name],
): void {
  Object.defineProperty(DomainEvent.prototype, name, {
    configurable: true,
    get(this: DomainEvent) {
      return read(this)
    },
    set(this: DomainEvent, value: DomainEvent[Name]) {
      Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true })
    },
  })
}

function staticsOf(event: DomainEvent): DomainEventStatics {
  return event.constructor as DomainEventStatics
}

function fieldOf(event: DomainEvent, name: 'eventType'): string | undefined {
  return Object.hasOwn(event, name) ? event[name] : undefined
}

function refuseUndeclared({ name }: { readonly name: string }): never {
  throw new ConfigurationError(
    `the event class ${name === '' ? '(without a name)' : name} declares no type: ` +
      `write \`static readonly type = '…'\` in it (the class's own name is not used, because minifiers change it)`,
  )
}

/** Set while a class is asked for its fields; see `fieldsOf`. */
let probe: { instance?: DomainEvent } | undefined

const definitions = new WeakMap<DomainEventClass, Definition>()

/**
 * The definition of an event class; always the same object for the same class.
 * @throws ConfigurationError when it declares no type.
 */
export function definitionOfClass(eventClass: DomainEventClass): Definition {
  return definitions.get(eventClass) ?? remember(eventClass, declarationOf(eventClass))
}

/**
 * The same for a message of that class: it knows its fields, so nothing has to be tried.
 * @throws ConfigurationError also when it says something else than its class.
 */
export function definitionOfInstance(event: DomainEvent): Definition {
  const eventClass = event.constructor as DomainEventClass
  const declaration = (eventClass as DomainEventStatics).type === undefined ? event : (eventClass as DomainEventStatics)
  const definition = definitions.get(eventClass) ?? remember(eventClass, declaration)
  if (event.type === definition.type && event.version === definition.version) return definition
  throw new ConfigurationError(
    `an instance of ${eventClass.name} says ${event.type} version ${event.version}, its class says ` +
      `${definition.type} version ${definition.version}: declare both either as statics or as fields`,
  )
}

type Declared = Pick<DomainEventStatics, 'type' | 'version' | 'topic' | 'priority'>

function remember(
  eventClass: DomainEventClass,
  fields: { readonly [K in keyof Declared]: Declared[K] | undefined },
): Definition {
  const { schema, upcast, jsonSchema, key, subject, personal, person } = eventClass as DomainEventStatics
  const prototypeOf = eventClass as unknown as new () => unknown
  const { type = refuseUndeclared(eventClass), version, topic, priority } = fields
  const definition: Definition = define({
    kind: 'event',
    type,
    version,
    topic,
    priority,
    schema,
    upcast,
    jsonSchema,
    key,
    subject,
    personal,
    person,
    hydrate: (message) => Reflect.construct(Envelope, [message, message.data, definition], prototypeOf) as Message,
  })
  definitions.set(eventClass, definition)
  return definition
}

function declarationOf(eventClass: DomainEventClass): Declared | DomainEvent {
  if (!(eventClass.prototype instanceof DomainEvent)) {
    throw new ConfigurationError(
      `${eventClass.name === '' ? 'a function' : eventClass.name} is no event class: ` +
        'extend DomainEvent, or declare the message with event(), command() or query()',
    )
  }
  const statics = eventClass as DomainEventStatics
  return statics.type === undefined ? fieldsOf(eventClass) : statics
}

/**
 * Fields exist only in an instance, and a subscriber may come before any event: so one is made, without arguments,
 * and thrown away. It does not matter if the constructor fails after `super(…)`.
 */
function fieldsOf(eventClass: DomainEventClass): DomainEvent {
  const made: { instance?: DomainEvent } = {}
  const outer = probe
  probe = made
  try {
    Reflect.construct(eventClass, [])
  } catch {
    // What is missing is noticed below.
  } finally {
    probe = outer
  }
  const { instance } = made
  if (instance === undefined || !(Object.hasOwn(instance, 'eventType') || Object.hasOwn(instance, 'type'))) {
    return refuseUndeclared(eventClass)
  }
  return instance
}
