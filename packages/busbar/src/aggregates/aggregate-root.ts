import {
  type Codec,
  ConfigurationError,
  type ContractLike,
  type Definition,
  definitionOf,
  definitionOfMessage,
  type Message,
  type MessageOf,
  open,
  prepare,
  ValidationError,
} from '../message/index.ts'
import { Envelope } from '../message/envelope.ts'
import { withoutPersonal } from '../message/personal.ts'

/** For the repository alone: not reached by accident, and not in the way of a subclass's own names. */
export const EVOLVE = Symbol('evolve')
export const COMMITTED = Symbol('committed')
export const STAND = Symbol('stand')
export const CONTRACTS = Symbol('contracts')
export const CODEC = Symbol('codec')
export const KNOWS = Symbol('knows')

type Handler = { handle(event: Message): void }['handle']

/**
 * An aggregate as an object: methods decide and `apply` what happens; what becomes of its fields is said once for each event with
 * `when`, and is the same whether the event is new or history.
 *
 * @example
 * class Order extends AggregateRoot<OrderEvent> {
 *   #total = 0
 *   constructor(id: string) {
 *     super(id)
 *     this.when(OrderPlaced, ({ data }) => void (this.#total = data.total))
 *   }
 *   place(total: number): void {
 *     if (this.revision >= 0) throw new Error('placed already')
 *     this.apply(OrderPlaced.create({ total }))
 *   }
 * }
 */
export abstract class AggregateRoot<E extends Message = Message> {
  readonly id: string
  readonly #handlers = new Map<string, { readonly definition: Definition; readonly handler: Handler }>()
  readonly #contracts: ContractLike[] = []
  #revision = -1
  #codec: Codec | undefined
  #uncommitted: Message[] = []

  /** A subclass's constructor takes the id alone, and says `when` for each event. */
  constructor(id: string) {
    this.id = id
  }

  /** Of its last event, stored or not; -1 where it has none. */
  get revision(): number {
    return this.#revision
  }

  /** What has happened and is not stored yet. */
  get uncommittedEvents(): readonly Message[] {
    return this.#uncommitted
  }

  /** Makes its state of history: of the events of a stream in order, from the first one, for example `store.replayEvents(stream)`. */
  load(history: Iterable<Message>): this {
    for (const event of history) {
      if (!this[EVOLVE](event)) {
        throw new ConfigurationError(`${this.#undeclared(event)}; a state without it would be wrong`)
      }
    }
    return this
  }

  /**
   * Says what an event changes. In the constructor, once for each event. Its type is the contract's.
   * @throws ConfigurationError where it was said already.
   */
  protected when<C extends ContractLike>(contract: C, handler: (event: MessageOf<C>) => void): void {
    const definition = definitionOf(contract)
    const { kind, type } = definition
    if (kind !== 'event') throw new ConfigurationError(`${type} is a ${kind}: an aggregate is made of events`)
    if (this.#handlers.has(type)) {
      throw new ConfigurationError(`this aggregate has two handlers of ${type}: say once what it changes`)
    }
    this.#contracts.push(contract)
    this.#handlers.set(type, { definition, handler })
  }

  /**
   * Lets an event happen: it is validated, changes the state by its `when`, and waits to be stored. What the `when` gets is
   * what it will get when the event is read again.
   *
   * @throws ValidationError, and ConfigurationError where there is no `when` for it. Nothing has changed then.
   */
  protected apply(event: Message & { readonly type: E['type'] }): void {
    const declared = this.#handlers.get(event.type)
    if (declared === undefined) throw new ConfigurationError(`${this.#undeclared(event)} in its constructor`)
    const definition = definitionOfMessage(event) ?? declared.definition
    declared.handler(asRead(event, definition, this.#codec))
    this.#uncommitted.push(event)
    this.#revision++
  }

  /** Applies history. False: there is no `when` for it. */
  [EVOLVE](event: Message): boolean {
    const declared = this.#handlers.get(event.type)
    if (declared !== undefined) declared.handler(event)
    this.#revision++
    return declared !== undefined
  }

  /** The first ones are stored: as many as were given to the store. */
  [COMMITTED](count: number): void {
    this.#uncommitted = this.#uncommitted.slice(count)
  }

  /** Stands at a revision: by a snapshot, or by events that it was not told of. */
  [STAND](revision: number): void {
    this.#revision = revision
  }

  /** Whether there is a `when` for it. */
  [KNOWS](type: string): boolean {
    return this.#handlers.has(type)
  }

  /** What its events will be encoded with. */
  [CODEC](codec: Codec): void {
    this.#codec = codec
  }

  get [CONTRACTS](): readonly ContractLike[] {
    return this.#contracts
  }

  #undeclared({ type }: Message): string {
    const known = [...this.#handlers.keys()].join(', ')
    return `aggregate '${this.id}' has no handler of ${type} (it has: ${known}): say this.when(${type}, …)`
  }
}

/**
 * The event as it is when it is history: a handler sees nothing else. With the codec of its store where a repository has made the
 * object, else by the schema alone.
 */
function asRead(event: Message, definition: Definition, codec: Codec | undefined): Message {
  if (codec === undefined) return checked(event, definition)
  const encoded = prepare(event, definition, { codec, inProcess: true, maxBytes: Infinity })
  if (encoded instanceof Promise) return refuseAsynchronous(event)
  const read = open(encoded, definition, codec)
  return read instanceof Promise ? refuseAsynchronous(event) : read
}

function checked(event: Message, definition: Definition): Message {
  if (definition.validate === undefined) return event
  const outcome = definition.validate(event.data)
  if (outcome instanceof Promise) return refuseAsynchronous(event)
  if ('issues' in outcome) {
    throw new ValidationError(event.type, event.version, withoutPersonal(outcome.issues, definition.personal))
  }
  const read = new Envelope(attributesOf(event), outcome.data, definition)
  return definition.hydrate === undefined ? read : definition.hydrate(read)
}

function refuseAsynchronous({ type }: Message): never {
  throw new ConfigurationError(
    `the schema of ${type} is asynchronous, and an aggregate applies its events at once: use a decider for it`,
  )
}

/** Named one by one: those of an event class are getters of its prototype. */
function attributesOf(event: Message): Omit<Message, 'data'> {
  const { id, type, kind, source, subject, key, time, version, revision, priority, metadata } = event
  return { id, type, kind, source, subject, key, time, version, revision, priority, metadata }
}
