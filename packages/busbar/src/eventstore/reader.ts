import {
  type Codec,
  type ContractRegistry,
  DecodeError,
  type Message,
  open,
  type Privacy,
  ValidationError,
} from '../message/index.ts'
import type { StoredEvent } from '../store/index.ts'
import { UnreadableEventError } from './errors.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** Makes events of what a storage keeps: decoded, upcast and validated by their contracts. */
export class Reader {
  readonly #registry: ContractRegistry
  readonly #codec: Codec

  readonly #privacy: Privacy | undefined

  constructor(registry: ContractRegistry, codec: Codec, privacy: Privacy | undefined) {
    this.#registry = registry
    this.#codec = codec
    this.#privacy = privacy
  }

  /** Synchronous wherever the schema is. @throws UnreadableEventError */
  record(stored: StoredEvent): RecordedEvent | Promise<RecordedEvent> {
    const { message, revision } = stored
    const definition = this.#registry.get(message.type)
    try {
      // Its place is the storage's word: the writer knew it only where it expected a revision.
      const opened = open({ ...message, revision }, definition, this.#codec, this.#privacy)
      if (!(opened instanceof Promise)) return recorded(stored, opened, definition !== undefined)
      return opened.then(
        (event) => recorded(stored, event, definition !== undefined),
        (error: unknown) => refuse(stored, error),
      )
    } catch (error) {
      return refuse(stored, error)
    }
  }

  async recordAll(stored: readonly StoredEvent[]): Promise<readonly RecordedEvent[]> {
    return Promise.all(stored.map(async (each) => this.record(each)))
  }

  async *read(stored: AsyncIterable<StoredEvent>): AsyncGenerator<RecordedEvent> {
    for await (const each of stored) {
      const made = this.record(each)
      yield made instanceof Promise ? await made : made
    }
  }
}

function recorded(stored: StoredEvent, event: Message, known: boolean): RecordedEvent {
  const { stream, revision, position, storedAt, topic } = stored
  return { known, event, stream, revision, position, storedAt: new Date(storedAt), topic }
}

function refuse(stored: StoredEvent, error: unknown): never {
  if (error instanceof DecodeError || error instanceof ValidationError) throw new UnreadableEventError(stored, error)
  throw error
}
