import type { CreateOptions } from './create-options.ts'
import type { Definition } from './definition.ts'
import type { Attributes, Message, MessageKind, Metadata, Priority } from './message.ts'
import { uuidv7 } from './uuid.ts'

/**
 * The object behind a message made from a contract: plain fields, and a hidden link to the contract, so that a bus
 * that only publishes a message knows how to validate it. A copy made with spread is as good a message without the link.
 */
export class Envelope<D> implements Message<D> {
  declare readonly id: string
  declare readonly type: string
  declare readonly kind: MessageKind
  declare readonly source: string
  declare readonly subject?: string
  declare readonly key?: string
  declare readonly time: Date
  declare readonly version: number
  declare readonly revision?: number
  declare readonly priority?: Priority
  declare readonly metadata: Metadata
  declare readonly data: D
  readonly #definition: Definition | undefined

  /** Takes the attributes as they are. */
  constructor(attributes: Attributes, data: D, definition: Definition | undefined) {
    this.#definition = definition
    const own = this as { -readonly [K in keyof Message<D>]: Message<D>[K] }
    own.id = attributes.id
    own.type = attributes.type
    own.kind = attributes.kind
    own.source = attributes.source
    own.time = attributes.time
    own.version = attributes.version
    own.metadata = attributes.metadata
    own.data = data
    // Absent fields stay absent, as the type says.
    if (attributes.subject !== undefined) own.subject = attributes.subject
    if (attributes.key !== undefined) own.key = attributes.key
    if (attributes.revision !== undefined) own.revision = attributes.revision
    if (attributes.priority !== undefined) own.priority = attributes.priority
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
  const id = options?.id ?? uuidv7()
  const subject = options?.subject ?? definition.subjectOf?.(data)
  const key = options?.key ?? definition.keyOf?.(data) ?? subject
  const revision = options?.revision
  const priority = options?.priority ?? definition.priority
  return new Envelope<D>(
    {
      id,
      type: definition.type,
      kind: definition.kind,
      source: options?.source ?? '',
      time: options?.time ?? new Date(),
      version: definition.version,
      metadata: createMetadata(id, metadata),
      ...(subject !== undefined && { subject }),
      ...(key !== undefined && { key }),
      ...(revision !== undefined && { revision }),
      ...(priority !== undefined && { priority }),
    },
    data,
    definition,
  )
}

/** A message's own id as its correlation id means that none was given; the bus puts the ambient one in its place. */
export function createMetadata(id: string, given: Partial<Metadata> | undefined): Metadata {
  if (given === undefined) return { correlationId: id }
  return { ...given, correlationId: given.correlationId ?? id }
}
