/** Busbar: a typed event bus that runs on the broker you already have. */
export { createEventBus, EventBusFactory } from './factory.ts'
export type { BrokerConfig, BusConfig } from './config/config.ts'
export * from './bus/index.ts'
export {
  command,
  ConfigurationError,
  BusbarError,
  DecodeError,
  DomainEvent,
  EncodeError,
  event,
  EventPriority,
  JsonCodec,
  MessageTooLargeError,
  NonRetryableError,
  query,
  RichJsonCodec,
  typed,
  uuidv7,
  ValidationError,
} from './message/index.ts'
export type {
  AnswerIn,
  AnswerOf,
  Codec,
  CommandContract,
  Contract,
  ContractLike,
  ContractOptions,
  CreateOptions,
  DataIn,
  DataOut,
  EventContract,
  Message,
  MessageKind,
  MessageOf,
  Metadata,
  Priority,
  QueryContract,
  TypedMessage,
  ValidationIssue,
} from './message/index.ts'
export { BrokerError, PublishError, UnsupportedError } from './broker/index.ts'
export type { Broker, Capabilities, DeadLetter, DeadLetterFilter } from './broker/index.ts'
