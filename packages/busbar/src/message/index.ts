/** Messages, contracts, codecs: what everything else stands on. */
export { command, definitionOf, definitionOfMessage, event, query, typed } from './contract.ts'
export type {
  AnswerIn,
  AnswerOf,
  CommandContract,
  Contract,
  ContractLike,
  ContractOptions,
  DataIn,
  DataOut,
  EventContract,
  MessageOf,
  QueryContract,
  TypedMessage,
} from './contract.ts'
export { ContractRegistry, matchesPattern } from './contracts.ts'
export type { CreateMetadata, CreateOptions } from './create-options.ts'
export type { Definition } from './definition.ts'
export { DomainEvent } from './domain-event.ts'
export type { DomainEventClass, DomainEventStatics } from './domain-event.ts'
export {
  BusbarError,
  ConfigurationError,
  DecodeError,
  EncodeError,
  MessageTooLargeError,
  NonRetryableError,
  ValidationError,
} from './errors.ts'
export type { ValidationIssue } from './errors.ts'
export type { Codec, CodecLimits } from './codec.ts'
export { fromCloudEvent, toCloudEvent } from './cloudevents.ts'
export type { CloudEventAttributes, CloudEventParts } from './cloudevents.ts'
export {
  bindings,
  fromBinaryMode,
  fromStructuredMode,
  STRUCTURED,
  toBinaryMode,
  toStructuredMode,
} from './cloudevents-modes.ts'
export type { BinaryMode, Binding, ReceivedHeaders } from './cloudevents-modes.ts'
export { JsonCodec } from './json-codec.ts'
export { RichJsonCodec } from './rich-codec.ts'
export { EventPriority, Snapshot } from './message.ts'
export type { Attributes, Body, EncodedMessage, Message, MessageKind, Metadata, Priority } from './message.ts'
export { open } from './inbound.ts'
export { ERASED, KeysUnavailableError, MASKED, PersonForgottenError } from './personal.ts'
export type { PersonalFields, Privacy, Revealed } from './personal.ts'
export { prepare } from './outbound.ts'
export type { PrepareOptions } from './outbound.ts'
export type { Outcome, Schema, Validate } from './schema.ts'
export type { Upcaster, Upcasters } from './upcast.ts'
export { uuidv7 } from './uuid.ts'
export * from './schemas/index.ts'
