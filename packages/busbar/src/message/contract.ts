/**
 * Contracts: the one declaration of a message, from which its types are inferred and by which it is checked,
 * at publish and at consume.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { CreateMetadata, CreateOptions } from './create-options.ts'
import { define } from './definition.ts'
import type { Definition } from './definition.ts'
import { definitionOfClass, definitionOfInstance, DomainEvent } from './domain-event.ts'
import type { DomainEventClass } from './domain-event.ts'
import { createEnvelope, Envelope } from './envelope.ts'
import { ConfigurationError } from './errors.ts'
import type { Message, MessageKind, Priority } from './message.ts'
import type { PersonalFields } from './personal.ts'
import { typed } from './schema.ts'
import type { Schema } from './schema.ts'
import type { JsonSchema } from './schemas/json-schema.ts'
import type { Upcasters } from './upcast.ts'

/** A message whose kind and type are known. */
export interface TypedMessage<Kind extends MessageKind, Type extends string, D> extends Message<D> {
  readonly kind: Kind
  readonly type: Type
}

/** `In` is the data that `create` takes, `Out` what handlers get: the output of the schema. */
export interface Contract<Kind extends MessageKind, Type extends string, In, Out = In> {
  readonly kind: Kind
  readonly type: Type
  /** Version of the data's schema, 1 or more. */
  readonly version: number
  readonly schema: Schema<In, Out>
  readonly topic: string | undefined
  readonly priority: Priority | undefined
  /** A new message, with a new id. The data is not checked and not copied here: `publish` does both. */
  create(data: In, metadata?: CreateMetadata, options?: CreateOptions): TypedMessage<Kind, Type, In>
  /** Whether a message that a handler was given is one of this contract. */
  is(message: Message): message is TypedMessage<Kind, Type, Out>
}

/** Published, to any number of handlers. Named in the past tense. */
export type EventContract<Type extends string = string, In = unknown, Out = In> = Contract<'event', Type, In, Out>

/** Sent, to exactly one handler. Named in the imperative. */
export type CommandContract<Type extends string = string, In = unknown, Out = In> = Contract<'command', Type, In, Out>

declare const ANSWER: unique symbol

/** A query as it was created. Knows, for the compiler alone, the type of its answer. */
export interface QueryMessage<Type extends string, D, Answer> extends TypedMessage<'query', Type, D> {
  readonly [ANSWER]?: Answer
}

/** Asked of one handler, which answers. `AnswerIn` is what the handler returns, `AnswerOut` what the asker gets. */
export interface QueryContract<
  Type extends string = string,
  In = unknown,
  Out = In,
  AnswerIn = unknown,
  AnswerOut = AnswerIn,
> extends Contract<'query', Type, In, Out> {
  readonly answer: Schema<AnswerIn, AnswerOut>
  create(data: In, metadata?: CreateMetadata, options?: CreateOptions): QueryMessage<Type, In, AnswerOut>
}

export interface ContractOptions<In> {
  /** Version of the schema, 1 or more. Default 1. */
  readonly version?: number
  /** What order is kept by. Default: the subject. */
  readonly key?: (data: In) => string | undefined
  /** The aggregate that the message is about. */
  readonly subject?: (data: In) => string | undefined
  /** Default: the bus's topic for the kind of message. */
  readonly topic?: string
  /** Default: none, which is `normal`. */
  readonly priority?: Priority
  /** `{ 1: (old) => new }` takes data of version 1 to version 2, and so on, at consume. */
  readonly upcast?: Upcasters
  /**
   * JSON Schema of the data as it travels, for the schema registry. Default: what the schema's library says (Zod and
   * ArkType do; wrap a Valibot schema in `toStandardJsonSchema`).
   */
  readonly jsonSchema?: JsonSchema
  /**
   * Personal data, for example `['customer.email']`. Errors and lists of dead letters never show it; a bus or store with `privacy` keeps
   * it encrypted, and can forget it. With `{ 'customer.email': 'erased@example.invalid' }` the contract says what stands there then.
   */
  readonly personal?: PersonalFields
  /** Whose personal data it is. Default: the message's subject. */
  readonly person?: (data: In) => string | undefined
}

type In<S extends StandardSchemaV1> = StandardSchemaV1.InferInput<S>
type Out<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S>

/**
 * Declares an event.
 *
 * @example
 * const OrderPlaced = event('OrderPlaced', z.object({ orderId: z.string() }), { subject: (data) => data.orderId })
 * @throws ConfigurationError when the type, version or upcasters make no sense.
 */
export function event<const Type extends string, S extends StandardSchemaV1>(
  type: Type,
  schema: S,
  options?: ContractOptions<In<S>>,
): EventContract<Type, In<S>, Out<S>> {
  return contract('event', type, schema as unknown as Schema<In<S>, Out<S>>, options)
}

/** Declares a command. See `event`. */
export function command<const Type extends string, S extends StandardSchemaV1>(
  type: Type,
  schema: S,
  options?: ContractOptions<In<S>>,
): CommandContract<Type, In<S>, Out<S>> {
  return contract('command', type, schema as unknown as Schema<In<S>, Out<S>>, options)
}

/** Declares a query and its answer. See `event`. */
export function query<const Type extends string, S extends StandardSchemaV1, A extends StandardSchemaV1>(
  type: Type,
  schema: S,
  answer: A,
  options?: ContractOptions<In<S>>,
): QueryContract<Type, In<S>, Out<S>, In<A>, Out<A>> {
  const answerSchema = answer as unknown as Schema<In<A>, Out<A>>
  const base = contract('query', type, schema as unknown as Schema<In<S>, Out<S>>, options, answerSchema)
  return Object.assign(base, { answer: answerSchema })
}

/** Any contract, or a class that extends `DomainEvent`. */
export type ContractLike = Contract<MessageKind, string, unknown, unknown> | DomainEventClass

/** The data that a message of `C` is made from. */
export type DataIn<C> =
  C extends Contract<MessageKind, string, infer D, unknown>
    ? D
    : C extends DomainEventClass<infer E>
      ? E['data']
      : never

/** The data that a handler of `C` gets. */
export type DataOut<C> = MessageOf<C> extends Message<infer D> ? D : never

/** The answer that whoever asks `Q` gets. */
export type AnswerOf<Q> = Q extends { readonly answer: infer A extends StandardSchemaV1 } ? Out<A> : never

/** What a handler of `Q` has to return. */
export type AnswerIn<Q> = Q extends { readonly answer: infer A extends StandardSchemaV1 } ? In<A> : never

/** The message that a handler of `C` gets: output data, with its `type` as a literal. */
export type MessageOf<C> =
  C extends Contract<infer Kind, infer Type, infer _In, infer D>
    ? TypedMessage<Kind, Type, D>
    : C extends DomainEventClass<infer E>
      ? C extends { readonly type: infer Type extends string }
        ? E & { readonly type: Type }
        : E
      : never

const definitions = new WeakMap<object, Definition>()

/**
 * The definition behind a contract or event class; always the same object for the same one.
 * @throws ConfigurationError when it is neither, or a class that declares no type.
 */
export function definitionOf(like: ContractLike): Definition {
  const known = definitions.get(like)
  if (known !== undefined) return known
  if (typeof like === 'function') return definitionOfClass(like)
  throw new ConfigurationError(
    'this is no contract: make one with event(), command() or query(), or a class that extends DomainEvent',
  )
}

/** The definition that a message was made from, where it still knows: a copy made with spread does not. */
export function definitionOfMessage(message: Message): Definition | undefined {
  const linked = Envelope.definitionOf(message)
  if (linked !== undefined) return linked
  return message instanceof DomainEvent ? definitionOfInstance(message) : undefined
}

function contract<Kind extends MessageKind, Type extends string, I, O>(
  kind: Kind,
  type: Type,
  schema: Schema<I, O>,
  options: ContractOptions<I> = {},
  answer?: Schema,
): Contract<Kind, Type, I, O> {
  const definition = define({
    ...options,
    kind,
    type,
    schema,
    answer,
  })
  const made: Contract<Kind, Type, I, O> = {
    kind,
    type,
    version: definition.version,
    schema,
    topic: options.topic,
    priority: options.priority,
    create: (data, metadata, attributes) =>
      createEnvelope(definition, data, metadata, attributes) as TypedMessage<Kind, Type, I>,
    is: (message): message is TypedMessage<Kind, Type, O> => message.type === type && message.kind === kind,
  }
  definitions.set(made, definition)
  return made
}

export { typed }
export type { CreateOptions, Definition, Schema }
