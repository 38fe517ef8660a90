import type { CreateOptions } from './create-options.ts'
import type { Definition } from './definition.ts'
import type { Attributes, Message, MessageKind, Metadata, Priority } from './message.ts'
import { uuidv7 } from './uuid.ts'

/**
 * The object behind every message: plain fields, always in the same order (which keeps the engine's property reads
 * fast), and a hidden link to the contract, so that a bus that only publishes a message knows how to validate it.
 * A copy made with spread is as good a message without the link.
 */
export class Envelope<D> implements Message<D> {
  readonly id: string
  readonly type: string
  readonly kind: MessageKind
  readonly source: string
  readonly subject: string | undefined
  readonly key: string | undefined
  readonly time: Date
  readonly version: number
  readonly revision: number | undefined
  readonly priority: Priority | undefined
  readonly metadata: Metadata
  readonly data: D
  readonly #definition: Definition | undefined

  /** Takes the attributes as they are. */
  constructor(attributes: Attributes, data: D, definition: Definition | undefined) {
    this.id = attributes.id
    this.type = attributes.type
    this.kind = attributes.kind
    this.source = attributes.source
    this.subject = attributes.subject
    this.key = attributes.key
    this.time = attributes.time
    this.version = attributes.version
    this.revision = attributes.revision
    this.priority = attributes.priority
    this.metadata = attributes.metadata
    this.data = data
    this.#definition = definition
  }

  static definitionOf(message: object): Definition | undefined {
    return #definition in message ? message.#definition : undefined
  }
}

/** A new message of a contract, with the defaults of `CreateOptions` filled in. */
export function createEnvelope<D>(
  definition: Definition,
  data: D,
  metadata: Partial<Metadata> | undefined,
  options: CreateOptions | undefined,
): Message<D> {
  // The clock is asked once: where it is the machine's it costs as much as the rest of the id.
  const now = Date.now()
  const id = options?.id ?? uuidv7(now)
  const subject = options?.subject ?? definition.subjectOf?.(data)
  const attributes: Attributes = {
    id,
    type: definition.type,
    kind: definition.kind,
    source: options?.source ?? '',
    subject,
    key: options?.key ?? definition.keyOf?.(data) ?? subject,
    time: options?.time ?? new Date(now),
    version: definition.version,
    revision: options?.revision,
    priority: options?.priority ?? definition.priority,
    metadata: createMetadata(id, metadata),
  }
  return new Envelope<D>(attributes, data, definition)
}

/** A message's own id as its correlation id means that none was given; the bus puts the ambient one in its place. */
export function createMetadata(id: string, given: Partial<Metadata> | undefined): Metadata {
  if (given === undefined) return { correlationId: id }
  return { ...given, correlationId: given.correlationId ?? id }
}
