import type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetterGroup,
  DeadLetterSelection,
  DeadLetterStore,
  Page,
} from '../broker/index.ts'
import type { Codec } from '../message/codec.ts'
import type { ContractRegistry } from '../message/contracts.ts'
import { open } from '../message/inbound.ts'
import type { EncodedMessage, Message } from '../message/message.ts'
import { prepare } from '../message/outbound.ts'
import { maskPersonal, type Privacy } from '../message/personal.ts'

/** A dead letter with its message opened, where it can be opened. */
export interface OpenedDeadLetter extends Omit<DeadLetter, 'message'> {
  /** As the broker keeps it, with its raw body. */
  readonly raw: EncodedMessage
  /** The message, with its personal data masked; undefined where its bytes or data are what is wrong. */
  readonly message: Message | undefined
}

export interface RedriveOptions {
  /**
   * Gives the data to go on with, in place of the letter's. The id, key and metadata stay. Checked by the contract. The message has its
   * personal data, the letter does not.
   */
  readonly edit?: (message: Message, letter: OpenedDeadLetter) => unknown
}

/** The messages that were put aside: to look at, to send again to the handler that failed, or to discard. */
export class DeadLetters {
  private readonly store: DeadLetterStore
  private readonly codec: Codec
  private readonly registry: ContractRegistry
  private readonly limits: { readonly inProcess: boolean; readonly maxMessageBytes: number }
  private readonly privacy: Privacy | undefined

  constructor(
    store: DeadLetterStore,
    codec: Codec,
    registry: ContractRegistry,
    limits: { readonly inProcess: boolean; readonly maxMessageBytes: number },
    privacy?: Privacy,
  ) {
    this.store = store
    this.codec = codec
    this.registry = registry
    this.limits = limits
    this.privacy = privacy
  }

  /** Oldest first. */
  async list(filter?: DeadLetterFilter, page?: Page): Promise<readonly OpenedDeadLetter[]> {
    const letters = await this.store.list(filter, page)
    return Promise.all(letters.map((letter) => this.opened(letter)))
  }

  async get(id: string): Promise<OpenedDeadLetter | undefined> {
    const letter = await this.store.get(id)
    return letter === undefined ? undefined : this.opened(letter)
  }

  count(filter?: DeadLetterFilter): Promise<number> {
    return this.store.count(filter)
  }

  /** Those that failed alike together, the most frequent first. */
  grouped(filter?: DeadLetterFilter): Promise<readonly DeadLetterGroup[]> {
    return this.store.summarize(filter)
  }

  /** Back to the group that failed and to no other, with the same message id and attempts beginning anew. Returns how many. */
  async redrive(which: DeadLetterSelection | string, options: RedriveOptions = {}): Promise<number> {
    const selection = typeof which === 'string' ? [which] : which
    const { edit } = options
    if (edit === undefined) return this.store.redrive(selection)
    // An edit may be asynchronous (a schema can be), the store's is not: all are edited before the first is sent.
    const edited = new Map<string, EncodedMessage>()
    for (const letter of await this.selected(selection)) edited.set(letter.id, await this.edited(letter, edit))
    return this.store.redrive([...edited.keys()], (letter) => edited.get(letter.id) ?? letter.message)
  }

  /** Deletes for good. What is parked behind them goes on. Returns how many. */
  discard(which: DeadLetterSelection | string): Promise<number> {
    return this.store.discard(typeof which === 'string' ? [which] : which)
  }

  private async selected(selection: DeadLetterSelection): Promise<DeadLetter[]> {
    if (isIds(selection)) {
      const found = await Promise.all(selection.map((id) => this.store.get(id)))
      return found.filter((letter) => letter !== undefined && isFailed(letter)) as DeadLetter[]
    }
    const letters: DeadLetter[] = []
    for (let page = await this.store.list(selection); page.length > 0;) {
      letters.push(...page)
      page = await this.store.list(selection, { after: (page.at(-1) as DeadLetter).id })
    }
    return letters.filter(isFailed)
  }

  private async edited(letter: DeadLetter, edit: NonNullable<RedriveOptions['edit']>): Promise<EncodedMessage> {
    const definition = this.registry.get(letter.message.type)
    // A letter whose data is what is wrong still has to be edited: then without its contract.
    const message = (await this.read(letter)) ?? (await this.openRaw(letter))
    const data = await edit(message, await this.opened(letter))
    const version = definition?.version ?? letter.message.version
    const changed: Message = { ...attributesOf(letter.message), version, data }
    return prepare(changed, definition, {
      codec: this.codec,
      inProcess: this.limits.inProcess,
      maxBytes: this.limits.maxMessageBytes,
      privacy: this.privacy,
    })
  }

  private async openRaw(letter: DeadLetter): Promise<Message> {
    try {
      return await open(letter.message, undefined, this.codec, this.privacy)
    } catch {
      return { ...attributesOf(letter.message), data: undefined }
    }
  }

  private async opened(letter: DeadLetter): Promise<OpenedDeadLetter> {
    const { message: raw, ...rest } = letter
    const message = await this.read(letter)
    const personal = this.registry.get(raw.type)?.personal ?? []
    if (message === undefined || personal.length === 0) return { ...rest, raw, message }
    return { ...rest, raw, message: { ...message, data: maskPersonal(message.data, personal) } }
  }

  private async read({ message }: DeadLetter): Promise<Message | undefined> {
    try {
      return await open(message, this.registry.get(message.type), this.codec, this.privacy)
    } catch {
      // Whatever it is (a schema may throw, too): one letter that cannot be opened must not hide the others.
      return undefined
    }
  }
}

/** Not merely parked: such a message goes on when the one before it does. */
function isFailed({ failure }: DeadLetter): boolean {
  return failure.reason !== 'parked'
}

function isIds(selection: DeadLetterSelection): selection is readonly string[] {
  return Array.isArray(selection)
}

function attributesOf({
  body: _body,
  contentType: _contentType,
  ...attributes
}: EncodedMessage): Omit<EncodedMessage, 'body' | 'contentType'> {
  return attributes
}
