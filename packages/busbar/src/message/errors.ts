/** Base of every error that Busbar throws on purpose. `name` is a literal in each class, so a minifier cannot change it. */
export class BusbarError extends Error {
  override readonly name: string = 'BusbarError'
}

/** A setting, contract or subscription is wrong. The text names the field and what would be right. */
export class ConfigurationError extends BusbarError {
  override readonly name: string = 'ConfigurationError'
}

/** One thing that is wrong with a message's data. `path` is empty where the whole data is meant. */
export interface ValidationIssue {
  readonly message: string
  readonly path: string
}

/** Data does not fit its contract. At publish nothing was sent; at consume the message is dead-lettered, never retried. */
export class ValidationError extends BusbarError {
  override readonly name: string = 'ValidationError'
  /** Name of the contract. */
  readonly type: string
  readonly version: number
  readonly issues: readonly ValidationIssue[]

  constructor(type: string, version: number, issues: readonly ValidationIssue[]) {
    const list = issues.map((issue) => `${issue.path === '' ? 'data' : issue.path}: ${issue.message}`).join('; ')
    super(`${type} (version ${version}) has invalid data: ${list}`)
    this.type = type
    this.version = version
    this.issues = issues
  }
}

/** Data cannot be written without loss: the text names the path and the reason. Nothing was sent. */
export class EncodeError extends BusbarError {
  override readonly name: string = 'EncodeError'
  /** Path of the offending value, for example `items[2].price`; empty for the whole data. */
  readonly path: string

  constructor(message: string, path: string) {
    super(message)
    this.path = path
  }
}

/** Bytes cannot be read: not JSON, too large, too deep, or of an unknown content type. */
export class DecodeError extends BusbarError {
  override readonly name: string = 'DecodeError'
}

/** An encoded message or its body is over a limit. Nothing was sent. */
export class MessageTooLargeError extends BusbarError {
  override readonly name: string = 'MessageTooLargeError'
}

/** Throw it (or a subclass) in a handler to skip retry and redelivery: the message goes straight to the dead letters. */
export class NonRetryableError extends BusbarError {
  override readonly name: string = 'NonRetryableError'
}
