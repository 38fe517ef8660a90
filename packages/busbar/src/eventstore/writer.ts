import {
  type Codec,
  ConfigurationError,
  type ContractRegistry,
  definitionOfMessage,
  type EncodedMessage,
  type Message,
  type Metadata,
  prepare,
  type Privacy,
} from '../message/index.ts'
import { ambient, inherit } from '../message/causation.ts'
import { Envelope } from '../message/envelope.ts'
import { type Append, AppendError, checkName, type EventStorage, type Expected, type NewEvent } from '../store/index.ts'

export interface WriterOptions {
  readonly storage: EventStorage
  readonly registry: ContractRegistry
  readonly codec: Codec
  readonly privacy: Privacy | undefined
  readonly source: string
  readonly topic: string
}

/** What all events of one append are given. */
interface Given {
  readonly cause?: Message
  readonly metadata?: Partial<Metadata>
}

/** Makes what a storage takes of events: validated by their contracts, encoded, and with their place in the stream. */
export class Writer {
  readonly #options: WriterOptions

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** @throws ValidationError, EncodeError, MessageTooLargeError, AppendError. Nothing has been written then. */
  async append(stream: string, events: readonly Message[], expected: Expected, given: Given): Promise<Append> {
    checkName(stream)
    const first = expected === 'none' ? 0 : typeof expected === 'number' ? expected + 1 : undefined
    const ready: NewEvent[] = []
    for (const [index, event] of events.entries()) {
      const made = this.#event(stream, event, first === undefined ? undefined : first + index, given)
      ready.push(made instanceof Promise ? await made : made)
    }
    return { stream, events: ready, expected }
  }

  #event(stream: string, event: Message, revision: number | undefined, given: Given): NewEvent | Promise<NewEvent> {
    refuseWrong(stream, event, revision)
    const { registry, codec, privacy, storage, topic, source } = this.#options
    const own = definitionOfMessage(event)
    if (own !== undefined) registry.learn(own)
    const definition = own ?? registry.get(event.type)
    const { inProcess, maxEventBytes } = storage.capabilities
    const placed = new Envelope(
      {
        ...attributesOf(event),
        source: event.source === '' ? source : event.source,
        subject: event.subject ?? stream,
        key: event.key ?? stream,
        revision: revision ?? event.revision,
        metadata: metadataOf(event, given),
      },
      event.data,
      definition,
    )
    const to = definition?.topic ?? topic
    const encoded = prepare(placed, definition, { codec, privacy, inProcess, maxBytes: maxEventBytes })
    return encoded instanceof Promise
      ? encoded.then((message) => ({ topic: to, message }))
      : { topic: to, message: encoded satisfies EncodedMessage }
  }
}

/** Named one by one: those of an event class are getters of its prototype, which spread does not copy. */
function attributesOf(event: Message): Omit<Message, 'data'> {
  const { id, type, kind, source, subject, key, time, version, revision, priority, metadata } = event
  return { id, type, kind, source, subject, key, time, version, revision, priority, metadata }
}

function metadataOf(event: Message, { cause = ambient.getStore(), metadata }: Given): Metadata {
  const own = cause === undefined ? event.metadata : inherit(event, cause)
  if (metadata === undefined) return own
  // A correlation id that is the event's own id was not given.
  const unsaid = own.correlationId === event.id && metadata.correlationId !== undefined
  return { ...metadata, ...own, correlationId: unsaid ? metadata.correlationId : own.correlationId }
}

function refuseWrong(stream: string, event: Message, place: number | undefined): void {
  if (typeof event?.type !== 'string' || typeof event.id !== 'string') {
    throw new ConfigurationError(
      `the append to stream '${stream}' was given something that is no event: make one with contract.create(data)`,
    )
  }
  if (event.kind !== 'event') {
    throw new AppendError(
      `${event.type} for stream '${stream}' is a ${event.kind}: a stream keeps events, what has happened`,
    )
  }
  if (event.revision === undefined || place === undefined || event.revision === place) return
  throw new AppendError(
    `${event.type} ${event.id} says that it makes revision ${event.revision} of stream '${stream}', and its place would be ${place}: ` +
      'leave its revision out, or append where it belongs',
  )
}
