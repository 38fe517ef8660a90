import type {
  Contract,
  ContractLike,
  DomainEventClass,
  Message,
  MessageKind,
  MessageOf,
  TypedMessage,
} from '../message/index.ts'
import type { Position } from '../store/index.ts'

/** Where an event stands in the store. */
export interface Place {
  readonly stream: string
  /** Its place in its stream: 0, 1, 2 … */
  readonly revision: number
  /** Its place in the whole store. */
  readonly position: Position
  /** When the store took it; `event.time` is when it happened. */
  readonly storedAt: Date
  readonly topic: string
}

/** An event that the store has a contract of: decoded, brought to the contract's version, validated. */
export interface KnownEvent<E extends Message = Message> extends Place {
  readonly known: true
  readonly event: E
}

/** An event of a type that the store has no contract of: its data is as it was decoded. */
export interface UnknownEvent extends Place {
  readonly known: false
  readonly event: Message
}

/** An event as it is read. `event.revision` is its place in the stream. Ask `known` before its type. */
export type RecordedEvent<E extends Message = Message> = KnownEvent<E> | UnknownEvent

/** The union of the events of contracts, as they are read; any message where none were given. */
export type EventOf<C extends ContractLike> = MessageOf<C>

/** The same as they are created: with the data that the contract's schema takes. */
export type NewEventOf<C extends ContractLike> =
  C extends Contract<infer Kind extends MessageKind, infer Type extends string, infer In, unknown>
    ? TypedMessage<Kind, Type, In>
    : C extends DomainEventClass<infer E>
      ? E
      : never
