import { type Broker, type Outbox, type Outgoing, UnsupportedError } from '../broker/index.ts'
import { ambient, inherit } from '../message/causation.ts'
import type { Codec } from '../message/codec.ts'
import { type Definition, definitionOfMessage } from '../message/contract.ts'
import type { ContractRegistry } from '../message/contracts.ts'
import { Envelope } from '../message/envelope.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { EncodedMessage, Message, MessageKind } from '../message/message.ts'
import { type Given, prepare } from '../message/outbound.ts'
import type { Privacy } from '../message/personal.ts'
import type { Batcher } from './batcher.ts'
import type { Clock } from './clock.ts'
import { Gate } from './gate.ts'
import { InTurn } from './in-turn.ts'
import { Inside } from './inside.ts'
import { composePublish, type Middleware } from './middleware.ts'
import type { PublishOptions } from './handler.ts'
import { REPLY_TO } from './requests.ts'

export interface PublisherOptions {
  readonly broker: Broker
  readonly batcher: Batcher
  /** Takes what is published in transactions. Default: the broker. */
  readonly outbox: Outbox | undefined
  readonly registry: ContractRegistry
  readonly codec: Codec
  readonly privacy: Privacy | undefined
  readonly clock: Clock
  readonly source: string
  readonly strict: boolean
  readonly topics: Readonly<Record<MessageKind, string>>
  readonly middleware: readonly Middleware[]
}

/** Where a message that has passed the middleware goes: alone to the batcher, or to the gate of its call. */
interface Passage {
  readonly options: PublishOptions | undefined
  readonly topic: string | undefined
  readonly gate: Gate | undefined
  readonly index: number
}

/** The publishing side: enrich, middleware, validate, encode, and into the batch. */
export class Publisher {
  /** Publishes that are still in middleware or validation, and so not known to the batcher yet. */
  open = 0
  /** Where schemas or keys are waited for. */
  private readonly preparing = new InTurn()
  private readonly options: PublisherOptions
  private around: ((message: Message, passage: Passage) => Promise<void>) | undefined
  private readonly prepareOptions
  private readonly inside: Inside
  /** For what is published in a transaction. */
  private readonly prepareInside

  constructor(options: PublisherOptions) {
    this.options = options
    this.compose()
    const { inProcess, maxMessageBytes } = options.broker.capabilities
    const { codec, privacy } = options
    this.prepareOptions = { codec, privacy, inProcess, maxBytes: maxMessageBytes }
    this.inside = new Inside(options.broker, options.outbox)
    const inside = this.inside.broker.capabilities
    const maxBytes = Math.min(maxMessageBytes, inside.maxMessageBytes)
    this.prepareInside = { codec, privacy, inProcess: inside.inProcess, maxBytes }
  }

  /** Takes up middleware that was added since. */
  compose(): void {
    const { middleware } = this.options
    this.around = composePublish<Passage>(middleware, (message, passage) => this.innermost(message, passage))
  }

  /** @param topic Overrides the contract's (replies have topics of their own). */
  one(message: Message, options?: PublishOptions, topic?: string): Promise<void> {
    if (options?.tx !== undefined) return this.many([message], options)
    try {
      this.check(options)
      this.refuseWrong(message)
      if (this.around !== undefined) {
        return this.counted(this.around(this.caused(message, options), { options, topic, gate: undefined, index: 0 }))
      }
      const outgoing = this.outgoing(message, options, topic, this.given(message, options))
      if (outgoing instanceof Promise || this.preparing.busy) {
        return this.counted(this.preparing.pass(outgoing, (ready) => this.options.batcher.addOne(ready)))
      }
      return this.options.batcher.addOne(outgoing)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** All or, where one of them is refused before sending, none. */
  many(messages: readonly Message[], options?: PublishOptions): Promise<void> {
    return this.counted(this.together(messages, options))
  }

  private async counted(publishing: Promise<void>): Promise<void> {
    this.open++
    try {
      await publishing
    } finally {
      this.open--
    }
  }

  private async together(messages: readonly Message[], options: PublishOptions | undefined): Promise<void> {
    this.check(options)
    for (const message of messages) this.refuseWrong(message)
    const { around } = this
    if (around === undefined) {
      const outgoing = messages.map((message) =>
        this.outgoing(message, options, undefined, this.given(message, options)),
      )
      if (!this.preparing.busy && isReady(outgoing)) return this.send(outgoing, options)
      return this.preparing.pass(Promise.all(outgoing.map(async (one) => one)), (ready) => this.send(ready, options))
    }
    const caused = messages.map((message) => this.caused(message, options))
    const gate = new Gate(caused.length, (outgoing) => this.send(outgoing, options))
    return gate.pass((index) => around(caused[index] as Message, { options, topic: undefined, gate, index }))
  }

  /** After the last middleware: what leaves is validated as it now is. */
  private async innermost(message: Message, { options, topic, gate, index }: Passage): Promise<void> {
    const outgoing = await this.outgoing(message, options, topic, message)
    return gate === undefined ? this.options.batcher.addOne(outgoing) : gate.arrive(index, outgoing)
  }

  /** Into the batch, or into the transaction that was given. */
  private send(outgoing: readonly Outgoing[], options: PublishOptions | undefined): Promise<void> {
    if (options?.tx === undefined) return this.options.batcher.add(outgoing)
    return this.inside.publish(options.tx, outgoing)
  }

  private check(options: PublishOptions | undefined): void {
    if (options?.tx !== undefined) this.inside.check(options.tx)
    if (options === undefined || (options.delay === undefined && options.at === undefined)) return
    const { broker } = options.tx === undefined ? this.options : this.inside
    if (!broker.capabilities.delay) {
      throw new UnsupportedError(
        `broker '${broker.name}' cannot delay a message: publish without 'delay' and 'at', or use a broker that can`,
      )
    }
    if (options.delay !== undefined && options.at !== undefined) {
      throw new ConfigurationError(`publish was given both 'delay' and 'at': give one of them`)
    }
    if (options.delay !== undefined && !(options.delay >= 0 && Number.isFinite(options.delay))) {
      throw new ConfigurationError(`'delay' must be 0 or more milliseconds, not ${options.delay}`)
    }
    if (options.at !== undefined && !(options.at instanceof Date && Number.isFinite(options.at.getTime()))) {
      throw new ConfigurationError(`'at' must be a valid Date`)
    }
  }

  private deliverAt(options: PublishOptions | undefined): number | undefined {
    if (options?.at !== undefined) return options.at.getTime()
    return options?.delay === undefined ? undefined : this.options.clock.now() + options.delay
  }

  private refuseWrong(message: Message): void {
    if (typeof message?.type !== 'string' || typeof message.id !== 'string') {
      throw new ConfigurationError(
        'publish was given something that is no message: make one with contract.create(data)',
      )
    }
    if (message.kind === 'query' && message.metadata[REPLY_TO] === undefined) {
      throw new ConfigurationError(
        `${message.type} is a query, and published it would be answered to nobody: use request`,
      )
    }
  }

  /** Source, priority, correlation and causation: what a message is given because of where it is published. */
  private given(message: Message, options: PublishOptions | undefined): Given {
    const cause = ambient.getStore()
    return {
      source: message.source === '' ? this.options.source : message.source,
      priority: options?.priority ?? message.priority,
      metadata: cause === undefined ? message.metadata : inherit(message, cause),
    }
  }

  /** The message as middleware sees it, with what it is given. */
  private caused(message: Message, options: PublishOptions | undefined): Message {
    const caused = new Envelope(message, message.data, this.definitionOf(message))
    return Object.assign(caused, this.given(message, options))
  }

  private definitionOf(message: Message): Definition | undefined {
    const own = definitionOfMessage(message)
    if (own !== undefined) {
      this.options.registry.learn(own)
      return own
    }
    const definition = this.options.registry.get(message.type)
    if (definition === undefined && this.options.strict && message.kind !== 'reply') {
      throw new ConfigurationError(
        `'${message.type}' has no contract and the bus is strict: declare it with event(), command() or query()`,
      )
    }
    return definition
  }

  private outgoing(
    message: Message,
    options: PublishOptions | undefined,
    topic: string | undefined,
    given: Given,
  ): Outgoing | Promise<Outgoing> {
    const definition = this.definitionOf(message)
    const to = topic ?? definition?.topic ?? this.options.topics[message.kind]
    const prepared = options?.tx === undefined ? this.prepareOptions : this.prepareInside
    const encoded = prepare(message, definition, prepared, given)
    const deliverAt = this.deliverAt(options)
    if (encoded instanceof Promise) return encoded.then((ready) => address(to, ready, deliverAt))
    return address(to, encoded, deliverAt)
  }
}

function isReady(outgoing: readonly (Outgoing | Promise<Outgoing>)[]): outgoing is readonly Outgoing[] {
  return outgoing.every((one) => !(one instanceof Promise))
}

function address(topic: string, message: EncodedMessage, deliverAt: number | undefined): Outgoing {
  return deliverAt === undefined ? { topic, message } : { topic, message, deliverAt }
}
