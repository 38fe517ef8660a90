/** Busbar: a typed event bus that runs on the broker you already have. */
export { createEventBus, EventBusFactory } from './factory.ts'
export { createEventStore } from './store-factory.ts'
export type { BrokerConfig, BusConfig, HybridConfig, StoreConfig } from './config/config.ts'
export * from './bus/index.ts'
export { HybridEventBus, type HybridEventBusOptions } from './hybrid-event-bus.ts'
export { DefaultRoutingStrategy, HybridBroker, PriorityRoutingStrategy, type RoutingStrategy } from './hybrid/index.ts'
export {
  checkContracts,
  command,
  ConfigurationError,
  BusbarError,
  DecodeError,
  DomainEvent,
  EncodeError,
  event,
  EventPriority,
  JsonCodec,
  MemorySchemaRegistry,
  MessageTooLargeError,
  NonRetryableError,
  query,
  registerContracts,
  RichJsonCodec,
  SchemaCompatibilityError,
  SchemaConflictError,
  typed,
  uuidv7,
  ValidationError,
} from './message/index.ts'
export type {
  AnswerIn,
  AnswerOf,
  Codec,
  CommandContract,
  CompatibilityLevel,
  CompatibilityResult,
  Contract,
  ContractLike,
  ContractOptions,
  CreateMetadata,
  CreateOptions,
  DataIn,
  DataOut,
  EventContract,
  JsonSchema,
  Message,
  MessageKind,
  MessageOf,
  Metadata,
  Priority,
  QueryContract,
  RegisteredSchema,
  SchemaBreak,
  SchemaRegistry,
  TypedMessage,
  ValidationIssue,
} from './message/index.ts'
export { BrokerError, PublishError, UnsupportedError } from './broker/index.ts'
export type { Broker, Capabilities, DeadLetter, DeadLetterFilter } from './broker/index.ts'
