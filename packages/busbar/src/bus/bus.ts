import { type Broker, BrokerError, UnsupportedError } from '../broker/index.ts'
import type { Codec } from '../message/codec.ts'
import { definitionOfMessage, type QueryMessage } from '../message/contract.ts'
import { ContractRegistry } from '../message/contracts.ts'
import { ConfigurationError } from '../message/errors.ts'
import { open } from '../message/inbound.ts'
import { JsonCodec } from '../message/json-codec.ts'
import type { Message, MessageKind } from '../message/message.ts'
import type { Inbox } from '../transaction/inbox.ts'
import { Batcher } from './batcher.ts'
import { type Clock, systemClock } from './clock.ts'
import { DeadLetters } from './dead-letters.ts'
import type { HandlerOptions } from './declarations.ts'
import { Groups, singleGroup } from './groups.ts'
import { EventHandlerRegistry, type Registration } from './handler-registry.ts'
import { type Logger, stderrLogger, unfailing } from './logger.ts'
import type { Middleware } from './middleware.ts'
import { Publisher } from './publisher.ts'
import type { EventStorage } from '../store/index.ts'
import { handingOn } from './handing-on.ts'
import type { BusMetrics, Health } from './health.ts'
import { untilIdle } from './idle.ts'
import { summarize } from './redact.ts'
import { REPLY_TO, replyTo, type RequestOptions, Requests } from './requests.ts'
import { Schemas } from './schemas.ts'
import { isEntries } from './selection.ts'
import type { Handler, HandlerEntry, InboxContext, MessageFor, PublishOptions, ResultFor, Selector } from './handler.ts'
import type { BusOptions, SubscribeOptions } from './options.ts'
import type { Subscription, SubscriptionStats } from './subscription.ts'

/**
 * The bus: publish, subscribe, send and request over one broker. Made by `createEventBus`, or by hand from a broker.
 *
 * @example
 * const bus = await createEventBus('sqlite:orders.db')
 * await bus.subscribe(OrderPlaced, (event) => console.log(event.data), { group: 'billing' })
 * await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
 */
export class EventBus {
  readonly source: string
  readonly logger: Logger
  /** The contracts that this bus knows. */
  readonly contracts = new ContractRegistry()
  readonly deadLetters: DeadLetters
  /** The handler objects that are registered on this bus. */
  readonly handlers = new EventHandlerRegistry(this)

  private readonly broker: Broker
  private readonly options: BusOptions
  private readonly clock: Clock
  private readonly codec: Codec
  private readonly topics: Readonly<Record<MessageKind, string>>
  protected readonly middleware: Middleware[]
  private readonly batcher: Batcher
  private readonly publisher: Publisher
  private readonly requests: Requests
  private readonly groups: Groups
  private readonly schemas: Schemas
  private readonly replyTopic: string
  /** The broker is started. */
  private running = false
  /** So are the subscriptions made before. */
  private ready = false
  private closed = false
  private replies: Promise<unknown> | undefined
  private started: Promise<void> | undefined
  private stopped: Promise<void> | undefined

  constructor(broker: Broker, options: BusOptions = {}) {
    this.broker = broker
    this.options = options
    this.source = options.source ?? 'app'
    this.logger = unfailing(options.logger ?? stderrLogger)
    this.clock = options.clock ?? systemClock
    this.codec = options.codec ?? new JsonCodec()
    this.topics = { event: 'events', command: 'commands', query: 'queries', reply: 'replies', ...options.topics }
    this.replyTopic = `${this.topics.reply}.${this.source}`
    for (const contract of options.contracts ?? []) this.contracts.add(contract)
    this.middleware = [...(options.middleware ?? [])]
    this.batcher = new Batcher(broker)
    this.publisher = new Publisher({
      broker,
      batcher: this.batcher,
      outbox: options.outbox,
      registry: this.contracts,
      codec: this.codec,
      privacy: options.privacy,
      clock: this.clock,
      source: this.source,
      strict: options.strict ?? false,
      topics: this.topics,
      middleware: this.middleware,
    })
    this.requests = new Requests(this.clock)
    this.schemas = new Schemas(options.schemas, this.logger)
    this.groups = new Groups({
      broker,
      options,
      source: this.source,
      registry: this.contracts,
      codec: this.codec,
      privacy: options.privacy,
      clock: this.clock,
      topics: this.topics,
      middleware: this.middleware,
      schemas: this.schemas,
      bus: this,
      reply: (query, outcome) => this.reply(query, outcome),
    })
    const store = options.deadLetters ?? broker.deadLetters
    this.deadLetters = new DeadLetters(store, this.codec, this.contracts, broker.capabilities, options.privacy)
  }

  /** Starts the broker and the subscriptions made so far. Safe to call twice. */
  start(): Promise<void> {
    if (this.stopped !== undefined) return Promise.reject(stoppedError())
    this.started ??= this.begin().catch((error: unknown) => {
      // What could not start may be started again, when the broker is back.
      this.started = undefined
      throw error
    })
    return this.started
  }

  private async begin(): Promise<void> {
    await this.schemas.register(this.contracts.all())
    const { outbox } = this.options
    // First, so that transactions can publish while the broker is away.
    await outbox?.start()
    await this.broker.start()
    await outbox?.relay(this.broker)
    this.running = true
    await this.groups.start()
    this.ready = true
  }

  /**
   * Publishes one message or several. Resolves when the broker has confirmed every one; never waits for handlers.
   *
   * @throws ValidationError, EncodeError, MessageTooLargeError: nothing of the call was sent.
   * @throws PublishError: some of several were not confirmed; it says which.
   * @throws UnsupportedError: a delay, where the broker cannot delay.
   */
  publish(message: Message | readonly Message[], options?: PublishOptions): Promise<void> {
    if (this.closed) return Promise.reject(stoppedError())
    // Not before the subscriptions that were made before it: they would miss it.
    if (options?.tx !== undefined && this.options.outbox !== undefined) return this.publishInside(message, options)
    if (!this.ready) return this.start().then(() => this.publish(message, options))
    return isMany(message) ? this.publisher.many(message, options) : this.publisher.one(message, options)
  }

  /** Waits for the outbox alone: the broker may be away. */
  private async publishInside(message: Message | readonly Message[], options: PublishOptions): Promise<void> {
    if (!this.ready) {
      // Its failure is told to whoever starts the bus; what is written stays for the next that relays.
      this.start().catch(() => {})
      await this.options.outbox?.start()
    }
    return isMany(message) ? this.publisher.many(message, options) : this.publisher.one(message, options)
  }

  /** Sends a command to its one handler, in whatever process that is. Resolves when the broker has confirmed it. */
  async send(command: Message, options?: PublishOptions): Promise<void> {
    this.refuseKind(command, 'command', 'send')
    if (!this.groups.handles(command)) await this.refuseUnhandled(command)
    return this.publish(command, options)
  }

  /**
   * Asks a query of its one handler, in whatever process that is, and resolves to the typed answer.
   *
   * @throws RequestTimeoutError when nobody answers in time, RequestFailedError when the handler fails.
   */
  async request<Type extends string, D, Answer>(
    query: QueryMessage<Type, D, Answer>,
    options?: RequestOptions,
  ): Promise<Answer> {
    this.refuseKind(query, 'query', 'request')
    if (this.closed) throw stoppedError()
    if (!this.groups.handles(query)) await this.refuseUnhandled(query)
    if (!this.ready) await this.start()
    this.replies ??= this.listen().catch((error: unknown) => {
      this.replies = undefined
      throw error
    })
    await this.replies
    const definition = definitionOfMessage(query) ?? this.contracts.get(query.type)
    // What is sent is a copy, which knows its contract by the registry alone.
    if (definition !== undefined) this.contracts.learn(definition)
    const send = (asked: Message): Promise<void> => this.publish(asked)
    return (await this.requests.ask(query, definition, this.replyTopic, send, options)) as Answer
  }

  /**
   * Subscribes a handler to a contract, an event class, a type's name, a pattern (`order.*`, `*`) or several of them; or
   * several handlers (see `on`) that share one group. Resolves once the broker has really subscribed: nothing published
   * afterwards is missed. On a bus that is not started yet it resolves at once and begins with `start`.
   *
   * @throws ConfigurationError, UnsupportedError: the text says what would be right.
   */
  subscribe(handlers: readonly HandlerEntry[], options?: SubscribeOptions): Promise<Subscription>
  subscribe<const S extends Selector | readonly Selector[], Client>(
    selector: S,
    handler: Handler<MessageFor<S>, ResultFor<S>, InboxContext<Client>>,
    options: Omit<SubscribeOptions, 'inbox'> & { readonly inbox: Inbox<Client> },
  ): Promise<Subscription>
  subscribe<const S extends Selector | readonly Selector[]>(
    selector: S,
    handler: Handler<MessageFor<S>, ResultFor<S>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>
  async subscribe(what: unknown, second?: unknown, third: SubscribeOptions = {}): Promise<Subscription> {
    if (this.stopped !== undefined) throw stoppedError()
    if (isEntries(what)) return this.groups.subscribe(what, second ?? {}, this.running)
    const entry = { selector: what, handler: second } as HandlerEntry
    return this.groups.subscribe([entry], third, this.running)
  }

  /**
   * Attaches an object that declares what its methods handle: by the decorators of busbar/decorators, or by extending
   * `BaseEventHandler`. See `EventHandlerRegistry.register`.
   */
  register(handler: object, options?: HandlerOptions): Promise<Registration> {
    return this.handlers.register(handler, options)
  }

  /** Adds middleware inside of what is there. Takes effect at once, also for subscriptions that exist. */
  use(...middleware: readonly Middleware[]): this {
    this.middleware.push(...middleware)
    this.publisher.compose()
    this.groups.compose()
    return this
  }

  /** Types and patterns that have a handler on this bus. */
  getRegisteredEventTypes(): readonly string[] {
    return this.groups.patterns()
  }

  getBroker(): Broker {
    return this.broker
  }

  /** The event store that keeps what is published, where there is one. */
  getStore(): EventStorage | undefined {
    return this.options.store
  }

  subscriptions(): readonly SubscriptionStats[] {
    return this.groups.members().map((member) => member.stats())
  }

  async metrics(): Promise<BusMetrics> {
    return { ...(await this.handingOn()), subscriptions: this.subscriptions(), requests: this.requests.waiting }
  }

  /** `down` where the broker cannot be reached or written to. Never rejects. */
  async health(): Promise<Health> {
    const { name } = this.broker
    const subscriptions = this.subscriptions()
    if (!this.running || this.closed) {
      const error = this.closed ? 'the bus was stopped' : 'the bus was not started'
      return { status: 'down', broker: { name, status: 'down', error }, subscriptions }
    }
    try {
      await this.broker.ping()
      const { outbox, store } = this.options
      const isKept = outbox !== undefined || store !== undefined
      const { broker: _, ...waiting } = isKept ? await this.handingOn() : {}
      return { ...waiting, status: 'up', broker: { name, status: 'up' }, subscriptions }
    } catch (error) {
      return { status: 'down', broker: { name, status: 'down', error: summarize(error).message }, subscriptions }
    }
  }

  /**
   * Resolves when everything published by now, and whatever that caused, has been settled by the groups of this bus:
   * handled, dead-lettered or skipped; redeliveries are waited for, delayed messages that are not due are not. What an outbox or
   * an event store has still to hand on is waited for, too. For tests and orderly ends; a bus under steady load is never idle.
   *
   * @throws BrokerError after `timeout` milliseconds (default 30 000), naming what is not settled.
   */
  async idle({ timeout = 30_000 }: { readonly timeout?: number } = {}): Promise<void> {
    await this.started
    await untilIdle(
      {
        publishing: () => this.publishing(),
        batches: () => this.batcher.batches,
        running: () => this.groups.running(),
        handingOn: () => this.handingOn(),
        lagging: (metrics) => this.groups.lagging(metrics),
      },
      timeout,
    )
  }

  /**
   * Stops: hands out nothing more, waits for running handlers (at most `deadline` milliseconds, default `stopDeadline`),
   * gives back what has not begun, sends what is still to be confirmed, and lets the broker go. Safe to call twice.
   */
  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopped ??= this.end(options.deadline ?? this.options.stopDeadline ?? 10_000)
    return this.stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  private async end(deadline: number): Promise<void> {
    const until = Date.now() + deadline
    if (this.started !== undefined) await this.started.catch(() => {})
    await this.groups.stop(deadline)
    const left = (): number => Math.max(0, until - Date.now())
    while (this.publishing().length > 0 && left() > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    this.closed = true
    this.requests.close()
    const { outbox } = this.options
    try {
      await outbox?.stop({ deadline: left() })
    } finally {
      await this.broker.stop({ deadline: left() })
    }
  }

  private refuseKind(message: Message, kind: MessageKind, verb: string): void {
    if (message.kind !== kind) {
      throw new ConfigurationError(
        `${verb} takes a ${kind}, and ${message.type} is ${message.kind === 'event' ? 'an event' : `a ${message.kind}`}: ` +
          `events are published, commands sent, queries requested`,
      )
    }
  }

  /** Where no other process can have the handler, a message to nobody is a mistake. Another bus on the same broker can. */
  private async refuseUnhandled(message: Message): Promise<void> {
    if (this.broker.capabilities.multiProcess) return
    const { groups } = await this.broker.metrics()
    if (groups.some(({ group }) => group === singleGroup(message.kind, message.type))) return
    throw new ConfigurationError(`${message.kind} '${message.type}' has no handler on this bus: subscribe one first`)
  }

  private handingOn() {
    return handingOn(this.options.outbox, () => this.broker.metrics())
  }

  /** What is published and not confirmed, in words; empty when nothing is. */
  private publishing(): readonly string[] {
    if (!this.batcher.pending && this.publisher.open === 0) return []
    return ['messages are being published']
  }

  /**
   * Replies come to one topic for each application, so that processes that come and go leave no topics behind. Its other processes see
   * them, too, and pass over what they have not asked.
   */
  private async listen(): Promise<void> {
    if (!this.broker.capabilities.broadcast) {
      throw new UnsupportedError(`broker '${this.broker.name}' cannot carry replies: it has no broadcast subscriptions`)
    }
    const topics = [this.replyTopic]
    const spec = {
      group: this.replyTopic,
      topics,
      broadcast: true,
      prefetch: 1_000,
      from: 'latest',
      onFailure: 'continue',
    } as const
    const ack = { ack: true } as const
    await this.broker.subscribe(spec, async ({ message }) => {
      if (!this.requests.asked(message.metadata.causationId)) return ack
      try {
        await this.requests.take(await open(message, undefined, this.codec, this.options.privacy))
      } catch (error) {
        this.logger.warn({ type: message.type, error: summarize(error).message }, 'a reply could not be read')
      }
      return ack
    })
  }

  private async reply(query: Message, outcome: { data: unknown } | { error: unknown }): Promise<void> {
    const topic = query.metadata[REPLY_TO]
    if (topic !== undefined) await this.publisher.one(replyTo(query, outcome), undefined, topic)
  }
}

function isMany(message: Message | readonly Message[]): message is readonly Message[] {
  return Array.isArray(message)
}

function stoppedError(): BrokerError {
  return new BrokerError('the bus was stopped; nothing was done')
}
